"""One update of the weights, as published: L2 over whole embedding tables, clipping, Adam."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from models.fit_settings import FitSettings


class HasTables(Protocol):
    """The part of models.network.Network and models.fields.network.FieldNetwork read here."""

    def embedding_tables(self) -> list[nn.Parameter]: ...


Update = Callable[[HasTables, torch.optim.Optimizer, FitSettings], None]  # as `update`


def update(network: HasTables, optimiser: torch.optim.Optimizer, cfg: FitSettings) -> None:
    """Update the weights from the gradients of the loss, which are overwritten."""
    add_embedding_l2(network.embedding_tables(), cfg.embedding_l2)
    torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], cfg.clip_norm)
    optimiser.step()


def add_embedding_l2(tables: list[Tensor], weight: float) -> None:
    """Add the gradient of (weight / 2) sum w^2 over `tables`, without its graph.

    For each table: grad += weight * table. The operator is torch's private one, as its optimisers
    use it: all tables in one call. tests/models/training/test_update.py holds it against the
    formula.
    """
    torch._foreach_add_([t.grad for t in tables], [t.detach() for t in tables], alpha=weight)
