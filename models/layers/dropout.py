"""Dropout that draws random numbers for the elements it drops, not for all of them.

Each element is dropped with probability p, independently of the others, so the number k of elements
kept between two dropped ones is geometric, P(k) = (1 - p)^k p. By inversion (Devroye 1986,
"Non-Uniform Random Variate Generation", section X.2)

    k = floor(log u / log(1 - p)),   u uniform in (0, 1]

so that p N numbers do in place of N. torch's Bernoulli numbers take 8 to 14 % of a training step on
a CPU (bench/RESULTS.md, "Less between the products"). The backward pass keeps the positions of
dropped elements, and no mask.

u has 24 bits: k is off by at most 6e-8 in each of its probabilities. On a GPU, where F.dropout is
one kernel, and for p > 0.5, Dropout is nn.Dropout.
"""

import math

import torch
from torch import Tensor, nn
from torch.autograd import Function

LARGEST = 0.5  # p up to which drawing gaps is the quicker way


class Dropout(nn.Dropout):
    """nn.Dropout; see the module docstring. Shapes: x (...) float -> (...)."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and draws_gaps(x, self.p):
            return _Dropout.apply(x, self.p)
        return super().forward(x)


def may_draw_gaps(x: Tensor, p: float) -> bool:
    """Whether `x` is where gaps are drawn, and `p` no more than they are drawn for, 0 included."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and p <= LARGEST


def draws_gaps(x: Tensor, p: float) -> bool:
    """Whether dropout of `x` draws the gaps between what it drops."""
    return may_draw_gaps(x, p) and p > 0 and x.numel() > 0


def dropped(n: int, p: float) -> Tensor:
    """Positions (M,) int64, ascending, of those of `n` elements that dropout drops; 0 < p < 1.

    They follow from torch's random numbers on the CPU.
    """
    draws = math.ceil(n * p + 6 * math.sqrt(n * p * (1 - p))) + 1  # rarely too few
    last, parts = -1, []
    while last < n:
        gap = torch.rand(draws).neg_().add_(1).log_().div_(math.log1p(-p)).long()
        position = gap.add_(1).cumsum(0).add_(last)
        parts.append(position)
        last = int(position[-1])
    position = parts[0] if len(parts) == 1 else torch.cat(parts)
    return position[: int(torch.searchsorted(position, n))]


def drop_(x: Tensor, position: Tensor) -> Tensor:
    """`x`, contiguous, with zeros written at the flat positions (M,)."""
    x.view(-1).index_fill_(0, position, 0)
    return x


class _Dropout(Function):
    @staticmethod
    def forward(ctx, x: Tensor, p: float) -> Tensor:
        position, ctx.scale = dropped(x.numel(), p), 1 / (1 - p)
        ctx.save_for_backward(position)
        return drop_(x.contiguous() * ctx.scale, position)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (position,) = ctx.saved_tensors
        return drop_(grad.contiguous() * ctx.scale, position), None
