"""Calls in a subprocess: memory, errors, a killed process."""

import os

import numpy as np
import pytest

from bench.tools import steps
from bench.tools.subprocess_call import call_in_subprocess
from features.errors import InputError
from pipeline.artifacts import provenance


def test_the_peak_memory_is_that_of_the_subprocess():
    ballast = np.ones(600 * 2**17)  # 600 MiB
    assert call_in_subprocess("peak", provenance.peak_mib) < provenance.peak_mib() - 300
    assert provenance.peak_mib() >= steps.resident_mib() >= ballast.nbytes >> 20


def test_exceptions_are_raised_in_the_caller_and_a_killed_process_is_named():
    with pytest.raises(ValueError, match="'a'") as error:
        call_in_subprocess("number", int, "a")
    assert "subprocess_call.py" in error.value.__notes__[0]
    with pytest.raises(InputError, match="the largest: its process was killed"):
        call_in_subprocess("the largest", os._exit, 9)
