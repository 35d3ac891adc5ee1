"""Matrix products by oneDNN, through two operators that torch keeps private.

torch hands a CPU's float32 products to MKL, which is slower than oneDNN at wide maps where the
maker is not Intel; the public API offers no other choice. Both operators compute F.linear up to
rounding, and tests/models/layers/test_precision.py holds them against it (torch 2.13).
"""

import math
from pathlib import Path

import torch
from torch import Tensor

CPU_INFO = Path("/proc/cpuinfo")  # Linux's; elsewhere no processor of Intel's is known


def least_width() -> float:
    """Least width of both sides of a map that oneDNN multiplies faster than torch in training.

    Measured (bench/RESULTS.md, "Products by width"): 256 on an AMD processor; on one of Intel's
    torch was faster at every width.
    """
    intel = CPU_INFO.is_file() and "GenuineIntel" in CPU_INFO.read_text(encoding="utf-8")
    return math.inf if intel else 256


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear(x, weight, bias): x W^T + b (..., H), without gradient.

    Shapes: x (..., X), weight (H, X) or packed, bias (H,); all float32, or bfloat16 without bias.
    Factors are contiguous, or their transposes are: oneDNN has no quick kernel for others.
    """
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def pack(weight: Tensor) -> Tensor:
    """`weight` (H, X) in oneDNN's own layout, for `product` alone; no file can hold it."""
    return torch.ops.mkldnn._reorder_linear_weight(weight, None)
