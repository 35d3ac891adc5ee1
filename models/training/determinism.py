"""The same arithmetic every time a GPU runs a fit, as far as torch offers it."""

import os

import torch


def make_deterministic(device: torch.device) -> None:
    """On a GPU, use algorithms that add in one order; where there is none, torch warns.

    Call it before the first product of the process: cuBLAS reads its workspace once.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # it writes every tensor twice
