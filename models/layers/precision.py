"""How exactly training computes matrix products. All between them is as exact as its input.

    float32  in the type of their input
    tf32     both factors rounded to TF32 (10 bits of mantissa) by a GPU's tensor cores, summed up
             in float32; gradients likewise
    medium   both factors rounded to bfloat16 (7 bits) by a CPU's matrix units (Intel's AMX), summed
             up in float32; gradients likewise. torch's word: set_float32_matmul_precision
    bf16     both factors rounded to bfloat16, summed up in float32, the result rounded once more
    auto     tf32 on a GPU that has it, else float32

Attention scores and logits are never computed from rounded factors, predictions neither; with tf32
and medium, their gradients are. (A Transformer's scores are torch's own, and rounded like its other
products.) Weights, gradients and the optimiser's state stay in float32.

tf32 and medium are torch's switches of the whole process, fp32_precision of SWITCHES. The first
value of TF32's depends on the environment (TORCH_ALLOW_TF32_CUBLAS_OVERRIDE), and anyone may change
both, so every forward, backward and prediction sets them. Compiled code does not follow them (see
`exact`).

On a CPU that is not Intel's, wide float32 products are oneDNN's (models.layers.onednn).
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from models.layers import onednn

WIDE = onednn.least_width()
SWITCHES = {  # what rounds factors of float32 products, and what torch calls it
    "tf32": (torch.backends.cuda.matmul, "tf32"),
    "medium": (torch.backends.mkldnn.matmul, "bf16"),
}
AUTO_ON_CUDA = "tf32"  # from compute capability 8.0 on; bench/RESULTS.md, "GPU"


@contextmanager
def matmul_precision(precision: str, device: torch.device) -> Iterator[None]:
    """The context in which a forward pass on `device` multiplies with `precision`."""
    precision = resolve_precision(precision, device)
    rounded = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    with product_precision(precision), rounded:
        yield


def gradient_precision(precision: str, device: torch.device) -> AbstractContextManager:
    """The context of the backward pass after it; gradients follow the forward's bf16 by type."""
    return product_precision(resolve_precision(precision, device))


@contextmanager
def product_precision(precision: str) -> Iterator[None]:
    """The context in which float32 products round their factors as tf32 or medium do on a device
    that can; with any other precision they do not."""
    before = {matmul: matmul.fp32_precision for matmul, _ in SWITCHES.values()}
    for name, (matmul, rounding) in SWITCHES.items():
        matmul.fp32_precision = rounding if name == precision else "ieee"
    try:
        yield
    finally:
        for matmul, value in before.items():
            matmul.fp32_precision = value


def rounds_factors() -> bool:
    """Whether the current context is one of tf32 or medium."""
    return any(matmul.fp32_precision == rounding for matmul, rounding in SWITCHES.values())


def exact(x: Tensor) -> AbstractContextManager:
    """The context in which matrix products have the type of their factors, such as `x`.

    Gradients of these products are computed outside it. Code that torch.compile makes does not
    leave tf32 or medium here: the compiler cannot follow the switches.
    """
    if is_rounded(x):
        return torch.autocast(x.device.type, enabled=False)
    if not torch.compiler.is_compiling() and rounds_factors():
        return product_precision("float32")
    return nullcontext()


def is_rounded(x: Tensor) -> bool:
    """Whether the current context rounds the factors of products of `x` to bfloat16."""
    return x.device.type in ("cpu", "cuda") and torch.is_autocast_enabled(x.device.type)


def resolve_precision(precision: str, device: torch.device) -> str:
    """What `precision` means on `device`: float32, tf32, medium or bf16.

    Raises ValueError for tf32 and medium where `device` does not multiply so.
    """
    if precision == "auto":
        return AUTO_ON_CUDA if has_tf32(device) else "float32"
    if precision == "tf32" and not has_tf32(device):
        raise ValueError(
            f"fit.precision=tf32, but {device} does not multiply TF32; expected a GPU of compute"
            " capability 8.0 or newer, without NVIDIA_TF32_OVERRIDE=0; use float32 or auto"
        )
    if precision == "medium" and not has_amx(device):
        raise ValueError(
            f"fit.precision=medium, but {device} has no matrix units for bfloat16; expected a CPU"
            " with AMX; use float32 or auto"
        )
    return precision


def has_tf32(device: torch.device) -> bool:
    """Whether `device` multiplies TF32 and the environment allows it to."""
    if device.type != "cuda" or os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def has_amx(device: torch.device) -> bool:
    """Whether `device` is a CPU whose matrix units multiply bfloat16."""
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))


def has_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b (..., H) in the precision of the context; `weight` (H, X), `bias` (H,)."""
    if onednn_takes(x) and is_wide(x, weight):
        return OneDnnLinear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


def onednn_takes(x: Tensor) -> bool:
    """Whether oneDNN can multiply by `x` in this context; an exported network must not use it."""
    available = x.device.type == "cpu" and torch.backends.mkldnn.is_available()
    exact32 = x.dtype == torch.float32 and not is_rounded(x)
    return available and exact32 and not torch.compiler.is_compiling()


def is_wide(x: Tensor, weight: Tensor) -> bool:
    """Whether the map is wide enough for oneDNN to gain on torch."""
    return min(weight.shape) >= WIDE and x.numel() > 0


class OneDnnLinear(Function):
    """`linear` by oneDNN, whatever the widths; its gradients too."""

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
        grad, x = grad.flatten(0, -2), x.flatten(0, -2)  # (B, H), (B, X): rows of all batches
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
