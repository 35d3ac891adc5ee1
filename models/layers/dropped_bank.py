"""The summed bank of a quadratic layer with dropout inside, in training on a CPU, by few rows.

    y = sum_r dropout(W_r x + b_r),  r = 1..R

QuadraticLayer.summed_bank is the formula; its dropout makes R times the layer's numbers for every
row of the batch. Here ROWS rows at a time are multiplied, dropped and summed up while a cache holds
them, forward and backward, and only the positions of dropped elements are kept of it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from models.layers.dropout import draws_gaps, drop_, dropped
from models.layers.precision import is_rounded, linear

ROWS = 1024  # of 4,096 float32 numbers: 16 MiB; fewer make the products of gradients slower


def takes(x: Tensor, p: float) -> bool:
    """Whether `summed` computes the sum on `x`, in training."""
    return draws_gaps(x, p) and not is_rounded(x)


def summed(x: Tensor, weight: Tensor, bias: Tensor, p: float) -> Tensor:
    """y (B, X) of x (B, X), B > 0, for a bank of `weight` (R X, X) and `bias` (R X,).

    p  probability of dropout, above 0 and at most models.layers.dropout.LARGEST
    """
    return _DroppedBank.apply(x, weight, bias, p)


class _DroppedBank(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, p: float) -> Tensor:
        x, scale, positions = x.contiguous(), 1 / (1 - p), []
        y = torch.empty_like(x)
        for rows, out in zip(x.split(ROWS), y.split(ROWS), strict=True):
            h = linear(rows, weight, bias)
            positions.append(dropped(h.numel(), p))
            of_rows = drop_(h, positions[-1]).unflatten(1, (-1, x.shape[1]))
            torch.sum(of_rows, 1, out=out).mul_(scale)
        ctx.save_for_backward(x, weight, *positions)
        ctx.scale = scale
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *positions = ctx.saved_tensors
        to_x, to_weight = torch.empty_like(x), torch.zeros_like(weight)
        to_bias = weight.new_zeros(len(weight))
        n_rows = len(weight) // x.shape[1]
        pieces = zip(x.split(ROWS), grad.split(ROWS), to_x.split(ROWS), positions, strict=True)
        for rows, g, out, position in pieces:
            of_h = drop_((g * ctx.scale).repeat(1, n_rows), position)
            out.copy_(linear(of_h, weight.T))
            to_weight += linear(of_h.T.contiguous(), rows.T)
            to_bias += of_h.sum(0)
        return to_x, to_weight, to_bias, None
