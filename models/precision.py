"""How exactly matrix products are computed. All between them is as exact as its input.

    float32  in the type of their input
    bf16     both factors rounded to bfloat16, summed up in float32, the result rounded once more
    auto     bf16 where the device multiplies bfloat16 natively, else float32

Attention scores and logits are never computed from rounded factors. Weights, gradients and the
optimiser's state stay in float32.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

PRECISIONS = ("auto", "float32", "bf16")


def products(precision: str, device: torch.device) -> AbstractContextManager:
    """The context in which matrix products on `device` are computed as `precision` says."""
    rounded = resolve(precision, device) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=rounded)


def exact(x: Tensor) -> AbstractContextManager:
    """The context in which they are computed in the type of their factors, such as `x`."""
    return torch.autocast(x.device.type, enabled=False)


def resolve(precision: str, device: torch.device) -> str:
    """What `precision` means on `device`: float32 or bf16."""
    if precision != "auto":
        return precision
    return "bf16" if has_bf16(device) else "float32"


def has_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


class Linear(nn.Linear):
    """A linear map whose result has the type of its input; a single output is never rounded."""

    def forward(self, x: Tensor) -> Tensor:
        if self.out_features > 1:
            return super().forward(x).to(x.dtype)
        with exact(x):
            return super().forward(x)
