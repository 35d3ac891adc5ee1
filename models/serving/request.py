"""A request to a serving network: one user, N candidates."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.batches.rows import Rows
from models.network import N_LEVELS

CANDIDATES_AT_ONCE = 256  # scored together: bounds what DIN and the Transformer hold at once


@dataclass(frozen=True, slots=True)
class Request:
    """One user and N candidates that are to be scored.

    Shapes:
        history     (L,)  int64 item ids, oldest first, of any length; 0 is padding
        candidates  (N,)  int64 item ids
        likes       (N,)  int64, level 0..10 of each candidate's row; views likewise
        user        id, read by networks with user_id
    """

    history: Tensor
    candidates: Tensor
    likes: Tensor
    views: Tensor
    user: int = 0

    def check(self, n_items: int, n_users: int) -> None:
        """Raise ValueError for ids outside a network's tables; n_users 0: it has no users."""
        limits = {"history": n_items, "candidates": n_items, "likes": N_LEVELS, "views": N_LEVELS}
        for name, limit in limits.items():
            ids = getattr(self, name)
            if len(ids) and not (ids.min() >= 0 and ids.max() < limit):
                got = f"{int(ids.min())} to {int(ids.max())}"
                raise ValueError(f"{name}: ids {got}, expected 0 to {limit - 1}")
        if n_users and not 0 <= self.user < n_users:
            raise ValueError(f"user: id {self.user}, expected 0 to {n_users - 1}")

    def pieces(self, shortest: int, longest: int) -> Iterator[tuple[Tensor, ...]]:
        """Arguments of a serving network: the last `longest` items of the history, padded on the
        left to `shortest`, with up to CANDIDATES_AT_ONCE of the candidates each time."""
        recent = self.history[self.history != 0][-longest:]
        history = F.pad(recent, (max(shortest - len(recent), 0), 0))
        columns = (c.split(CANDIDATES_AT_ONCE) for c in (self.candidates, self.likes, self.views))
        for piece in zip(*columns, strict=True):
            yield history, *piece, torch.tensor([self.user])

    def rows(self, n_items: int, max_len: int) -> Rows:
        """The same request as N rows, which the trained network itself can score."""
        n, history = len(self.candidates), self.history[self.history != 0]
        return Rows(
            user=torch.full((n,), self.user),
            item=self.candidates,
            likes=self.likes,
            views=self.views,
            history=torch.zeros(n, dtype=torch.int64),
            values=history,
            begin=torch.tensor([0]),
            end=torch.tensor([len(history)]),
            n_items=n_items,
            max_len=max_len,
        )
