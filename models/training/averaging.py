"""The exponential moving average of a fit's weights over its steps.

    a_0 = w_0,   a_t = b_t a_(t-1) + (1 - b_t) w_t,   b_t = min(fit.ema, (1 + t) / (10 + t))

w_t are the weights after step t; b_t begins small, so that the first weights do not stay in a_t for
long (both as in TensorFlow's ExponentialMovingAverage; Polyak & Juditsky 1992, "Acceleration of
stochastic approximation by averaging"). Averaged are all weights and the running statistics of
batch norm. Training goes on from w_t; a_t is evaluated, chosen and kept.

torch.optim.swa_utils.AveragedModel is not used: it would copy and average the network's frozen
tables, too, which are larger than its weights. The step of the average is torch's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """See the module docstring. With `decay` 0 there is no average, and nothing is done.

    live      the network's own tensors, float, in the order of its state_dict
    averaged  a_t, tensors of the same shapes
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        state = network.state_dict().values() if decay else ()
        self.live = [tensor for tensor in state if tensor.is_floating_point()]
        self.averaged = [tensor.clone() for tensor in self.live]

    def update(self, t: int) -> None:
        """a_t of the weights after step `t`, counted from 1."""
        if self.decay:
            decay = min(self.decay, (1 + t) / (10 + t))
            get_ema_multi_avg_fn(decay)(self.averaged, self.live, t)

    @contextmanager
    def in_network(self) -> Iterator[None]:
        """Within it, the network has the averaged weights."""
        own = [tensor.clone() for tensor in self.live]
        self._set(self.live, self.averaged)
        try:
            yield
        finally:
            self._set(self.live, own)

    def load(self, averaged: list[Tensor]) -> None:
        """Go on from `averaged`. Raises ValueError where they are not as many as the weights."""
        self._set(self.averaged, averaged)

    @torch.no_grad()
    def _set(self, tensors: list[Tensor], values: list[Tensor]) -> None:
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)
