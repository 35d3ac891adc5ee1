"""Rows and items of the challenge's shape, in memory, for benches: nothing to be learned from them.

Item popularity follows Zipf's law, history lengths are geometric from 3 on with mean 8,
four rows share a user and a history. numpy and torch only.
"""

import numpy as np
import torch
from torch import Tensor

from models.items import ItemTable
from models.table import Rows

N_ITEMS, N_TAGS, CONTENT = 91_718, 11_740, 128
SHORTEST, MEAN_LENGTH = 3, 8


def items(n_items: int = N_ITEMS, seed: int = 0) -> ItemTable:
    """Five tags an item, left-padded; content vectors of unit length."""
    rng = np.random.default_rng(seed)
    tags = rng.integers(1, N_TAGS, (n_items, 5), dtype=np.int32)
    tags[np.arange(5) < rng.integers(0, 6, (n_items, 1))] = 0
    content = rng.standard_normal((n_items, CONTENT), dtype=np.float32) / CONTENT**0.5
    tags[0] = content[0] = 0
    return ItemTable(tags=torch.from_numpy(tags), content=torch.from_numpy(content), n_tags=N_TAGS)


def rows(n_rows: int, max_len: int, n_items: int = N_ITEMS, seed: int = 0) -> tuple[Rows, Tensor]:
    """`n_rows` rows and their labels (N,) float32."""
    rng = np.random.default_rng(seed + 1)
    popularity = 1 / np.arange(1, n_items)
    cumulative = np.cumsum(popularity / popularity.sum())

    def draw(n: int) -> Tensor:
        drawn = 1 + np.searchsorted(cumulative, rng.random(n)).clip(max=n_items - 2)
        return torch.from_numpy(drawn.astype(np.int32))

    n_users = -(-n_rows // 4)
    offsets = np.zeros(n_users + 1, np.int64)
    lengths = SHORTEST - 1 + rng.geometric(1 / (MEAN_LENGTH - SHORTEST + 1), n_users)
    np.cumsum(lengths, out=offsets[1:])
    user = torch.arange(n_rows, dtype=torch.int32) // 4
    level = torch.from_numpy(rng.integers(0, 11, (2, n_rows), dtype=np.uint8))
    made = Rows(
        user=user, item=draw(n_rows), likes=level[0], views=level[1], history=user,
        values=draw(int(offsets[-1])), offsets=torch.from_numpy(offsets),
        n_items=n_items, max_len=max_len,
    )  # fmt: skip
    return made, torch.from_numpy((rng.random(n_rows) < 0.25).astype(np.float32))
