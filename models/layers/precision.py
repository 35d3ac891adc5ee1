"""How exactly training computes matrix products. All between them is as exact as its input.

    float32  in the type of their input
    bf16     both factors rounded to bfloat16, summed up in float32, the result rounded once more
    auto     bf16 where the device multiplies bfloat16 natively, else float32

Attention scores and logits are never computed from rounded factors, predictions neither. Weights,
gradients and the optimiser's state stay in float32.

On a CPU, wide float32 products are oneDNN's (models.layers.onednn).
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from models.layers import onednn

WIDE = 256  # least width of both sides of a map that oneDNN multiplies faster than torch


def matmul_precision(precision: str, device: torch.device) -> AbstractContextManager:
    """The context in which matrix products on `device` have `precision`."""
    if resolve_precision(precision, device) == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def exact(x: Tensor) -> AbstractContextManager:
    """The context in which matrix products have the type of their factors, such as `x`."""
    return torch.autocast(x.device.type, enabled=False) if is_rounded(x) else nullcontext()


def is_rounded(x: Tensor) -> bool:
    """Whether the current context rounds the factors of products of `x`."""
    return x.device.type in ("cpu", "cuda") and torch.is_autocast_enabled(x.device.type)


def resolve_precision(precision: str, device: torch.device) -> str:
    """What `precision` means on `device`: float32 or bf16."""
    if precision != "auto":
        return precision
    return "bf16" if has_bf16(device) else "float32"


def has_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b (..., H) in the precision of the context; `weight` (H, X), `bias` (H,)."""
    if onednn_takes(x) and is_wide(x, weight):
        return _OneDnnLinear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


def onednn_takes(x: Tensor) -> bool:
    """Whether oneDNN can multiply by `x` in this context; an exported network must not use it."""
    available = x.device.type == "cpu" and torch.backends.mkldnn.is_available()
    exact32 = x.dtype == torch.float32 and not is_rounded(x)
    return available and exact32 and not torch.compiler.is_compiling()


def is_wide(x: Tensor, weight: Tensor) -> bool:
    """Whether the map is wide enough for oneDNN to gain on torch."""
    return min(weight.shape) >= WIDE and x.numel() > 0


class _OneDnnLinear(Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return onednn.product(x, weight, bias)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), grad = ctx.saved_tensors, grad.contiguous()
        to_x = onednn.product(grad, weight.T) if ctx.needs_input_grad[0] else None
        to_weight = onednn.product(grad.T, x.T)
        return to_x, to_weight, grad.sum(0) if ctx.has_bias else None


class Linear(nn.Linear):
    """A linear map whose result has the type of its input; a single output is never rounded."""

    def forward(self, x: Tensor) -> Tensor:
        return linear_as_input(x, self.weight, self.bias)


def linear_as_input(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What a `Linear` of this weight and bias computes."""
    if len(weight) > 1:
        return linear(x, weight, bias).to(x.dtype)
    with exact(x):
        return F.linear(x, weight, bias)
