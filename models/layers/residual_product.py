"""The elementwise part of a quadratic layer in training on a CPU, by rows that a cache holds.

    y = x + dropout(PReLU(BN(x * h)))

QuadraticLayer.forward is the formula. torch computes it by one operator after the other, each of
which reads and writes the whole batch in memory and keeps arrays of it. Here one thread takes ROWS
rows through all operators of a pass. Several threads take the whole batch: where they share their
cores with other work, each operator waits for the slowest of them, and many small ones wait most.
Forward: mean and variance (of groups of rows, combined as in Chan, Golub & LeVeque 1983,
"Algorithms for computing the sample variance"), then y. Backward: the sums of batch norm's
gradient, then the gradients of x and h. Only x, h and the positions of dropped elements are kept
between them; x * h is computed again. 1 / (1 - p) goes into batch norm's scale, since
c PReLU(z) = PReLU(c z) for c > 0.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from models.layers.dropout import drop_, dropped, may_draw_gaps

ROWS = 256  # of 1,024 float32 numbers: 1 MiB for each tensor


def rows_at_once(n: int) -> int:
    """How many of `n` rows go through the operators together."""
    return ROWS if torch.get_num_threads() == 1 else n


def takes(x: Tensor, norm: nn.Module, activation: nn.Module, p: float) -> bool:
    """Whether `residual_product` computes a layer of these parts on `x` in training; not where
    batch norm is that of several processes (models.training.distributed)."""
    parts = type(norm) is nn.BatchNorm1d and isinstance(activation, nn.PReLU)
    return parts and may_draw_gaps(x, p) and len(x) > 1


def residual_product(x: Tensor, h: Tensor, norm: nn.BatchNorm1d, slope: Tensor, p: float) -> Tensor:
    """y (B, X) of x and h (B, X), B > 1; updates `norm`'s running statistics.

    slope  (1,), PReLU's
    p      probability of dropout, at most models.layers.dropout.LARGEST
    """
    return _ResidualProduct.apply(x, h, norm.weight, norm.bias, slope, norm, p)


class _ResidualProduct(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h: Tensor,
        gamma: Tensor,
        beta: Tensor,
        slope: Tensor,
        norm: nn.BatchNorm1d,
        p: float,
    ) -> Tensor:
        x, h, y = x.contiguous(), h.contiguous(), torch.empty_like(x)
        mean, variance = _statistics(x, h)
        _update_running(norm, mean, variance, len(x))
        rstd, keep = (variance + norm.eps).rsqrt(), 1 / (1 - p)
        scale = gamma * rstd
        position = dropped(x.numel(), p) if p else torch.empty(0, dtype=torch.int64)
        shift = (beta - mean * scale) * keep
        pieces = zip(_pieces(x, h, y), _positions(position, x), strict=True)
        for (a, b, out), drop in pieces:
            torch.addcmul(shift, torch.mul(a, b, out=out), scale * keep, out=out)
            drop_(F.leaky_relu_(out, slope.item()), drop).add_(a)
        ctx.save_for_backward(x, h, mean, rstd, scale, beta, slope, position)
        ctx.keep = keep
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, h, mean, rstd, scale, beta, slope, position = ctx.saved_tensors
        grad, to_x, to_h = grad.contiguous(), torch.empty_like(x), torch.empty_like(x)
        to_gamma, to_beta, to_slope = mean.new_zeros(len(mean)), mean.new_zeros(len(mean)), 0.0
        pieces = zip(_pieces(x, h, grad, to_h), _positions(position, x), strict=True)
        for (a, b, g, out), drop in pieces:
            drop_(torch.mul(g, ctx.keep, out=out), drop)
            centred = (a * b).sub_(mean)
            normed = torch.addcmul(beta, centred, scale)
            g = torch.ops.aten.leaky_relu_backward(out, normed, slope.item(), False)
            to_slope = to_slope + out.mul_(normed.clamp_(max=0)).sum()
            to_beta += g.sum(0)
            to_gamma += centred.mul_(g).sum(0)
            out.copy_(g)
        to_gamma *= rstd
        of_product = -scale * rstd * to_gamma / len(x)
        shift = -scale * to_beta / len(x) - of_product * mean
        for a, b, g, out_x, out_h in _pieces(x, h, grad, to_x, to_h):
            of_z = torch.addcmul(shift, a * b, of_product).addcmul_(out_h, scale)
            torch.addcmul(g, of_z, b, out=out_x)
            torch.mul(of_z, a, out=out_h)
        return to_x, to_h, to_gamma, to_beta, to_slope.reshape(slope.shape), None, None


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Some rows of each of `tensors` (B, X) at a time."""
    n_rows = rows_at_once(len(tensors[0]))
    return zip(*(tensor.split(n_rows) for tensor in tensors), strict=True)


def _positions(position: Tensor, x: Tensor) -> Sequence[Tensor]:
    """Of the flat positions (M,) of x (B, X), ascending, those within each of its `_pieces`."""
    size = rows_at_once(len(x)) * x.shape[1]
    begins = torch.tensor(range(size, x.numel(), size), dtype=torch.int64)  # but the first, 0
    ends = torch.searchsorted(position, begins).tolist()
    return [part - i * size for i, part in enumerate(torch.tensor_split(position, ends))]


def _statistics(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (X,) over the rows of x * h (B, X)."""
    mean, squares, n = x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1]), 0
    for a, b in _pieces(x, h):
        z = a * b
        own = z.mean(0)
        off, both = own - mean, n + len(z)
        squares += z.sub_(own).square_().sum(0) + off.square() * (n * len(z) / both)
        mean += off * (len(z) / both)
        n = both
    return mean, squares / n


def _update_running(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, n: int) -> None:
    """As nn.BatchNorm1d does in training."""
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (n / (n - 1)), norm.momentum)
