"""bench.gpu.parts: what --parts chooses."""

import importlib

import pytest

from bench.gpu.parts import PARTS, choose
from features.errors import InputError


def test_every_part_is_a_function_that_exists():
    for part in PARTS:
        module, _, function = part.target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_parts_are_chosen_in_the_order_that_is_typed_with_their_budgets():
    assert choose("") == list(PARTS)
    sample, networks = choose("sample=20,networks")
    assert (sample.name, sample.budget) == ("sample", 20)
    assert networks == PARTS[0]


@pytest.mark.parametrize("text", ["nothing", "sample=", "sample=0", "sample=1.5"])
def test_other_parts_are_refused(text):
    with pytest.raises(InputError, match="--parts"):
        choose(text)
