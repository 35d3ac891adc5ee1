"""One thread for as long as asked; memory that training keeps."""

import platform
import subprocess
import sys

import pytest
import torch

from pipeline.runtime.compute import one_thread


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_torch_has_one_thread_inside_and_its_own_number_after_it():
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_an_error_gives_the_threads_back():
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0
    assert torch.get_num_threads() == 2


FAULTS = """
import resource, sys
import torch
from pipeline.runtime.compute import prepare_training

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    prepare_training(1)
for step in range(60):
    if step == 50:
        before = faults()
    torch.ones(10_000_000)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_that_training_frees_is_taken_again_without_page_faults():
    def faults(how: str) -> int:  # of 40 MB, taken and freed ten times after fifty
        return int(subprocess.check_output([sys.executable, "-c", FAULTS, how], text=True))

    assert faults("keep") < 20_000 < 80_000 < faults("give back")
