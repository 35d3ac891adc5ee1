"""Algorithms that add in one order: switches of the whole process, and on a GPU alone."""

import os

import pytest
import torch

from models.training.determinism import make_deterministic


@pytest.fixture(autouse=True)
def switches(monkeypatch):
    """Each test finds torch's own defaults, and leaves what was there before."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def state() -> tuple:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


def test_a_cpu_adds_in_one_order_anyway():
    make_deterministic(torch.device("cpu"))
    assert state() == (False, False, True, None)


def test_a_gpu_adds_in_one_order_and_fills_no_memory():
    make_deterministic(torch.device("cuda"))
    assert state() == (True, True, False, ":4096:8")


def test_a_workspace_of_the_user_stays(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_deterministic(torch.device("cuda"))
    assert state() == (True, True, False, ":16:8")
