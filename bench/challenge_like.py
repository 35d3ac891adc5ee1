"""Random rows and items of the challenge's shape, in memory; their labels are noise.

An item of popularity rank k is drawn in proportion to (k + 10)^-0.8, so that a batch has about as
many distinct items as one of MicroLens-50k with as large a table. History lengths are geometric
from 3 on with mean 8, or fixed; four rows share a user and a history. Imports numpy and torch only.
"""

import numpy as np
import torch
from torch import Tensor

from models.batches.rows import Rows
from models.items import ItemTable

N_ITEMS, N_TAGS, CONTENT = 91_718, 11_740, 128
SHORTEST, MEAN_LENGTH = 3, 8
ROWS_PER_USER = 4


def items(n_items: int = N_ITEMS, seed: int = 0) -> ItemTable:
    """Five left-padded tags per item, content vectors of about unit length, and levels."""
    rng = np.random.default_rng(seed)
    tags = rng.integers(1, N_TAGS, (n_items, 5), dtype=np.int32)
    tags[np.arange(5) < rng.integers(0, 6, (n_items, 1))] = 0
    content = rng.standard_normal((n_items, CONTENT), dtype=np.float32) / np.float32(CONTENT**0.5)
    tags[0] = content[0] = 0
    likes, views = torch.from_numpy(rng.integers(0, 11, (2, n_items), dtype=np.uint8))
    return ItemTable(
        tags=torch.tensor(tags), content=torch.tensor(content), n_tags=N_TAGS,
        likes=likes, views=views,
    )  # fmt: skip


def rows(
    n_rows: int, max_len: int, n_items: int = N_ITEMS, length: int | None = None, seed: int = 0
) -> tuple[Rows, Tensor]:
    """`n_rows` rows and their labels (N,) float32.

    max_len  see models.batches.rows.Rows
    n_items  rows of the item table
    length   number of items in every history; None: geometric
    """
    rng = np.random.default_rng(seed)
    cumulative = np.cumsum((np.arange(1, n_items) + 10.0) ** -0.8)

    def draw(n: int) -> Tensor:
        rank = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1], n), side="right")
        return torch.from_numpy((1 + rank).clip(max=n_items - 1).astype(np.int32))

    n_users = -(-n_rows // ROWS_PER_USER)
    lengths = SHORTEST - 1 + rng.geometric(1 / (MEAN_LENGTH - SHORTEST + 1), n_users)
    offsets = np.zeros(n_users + 1, np.int64)
    np.cumsum(lengths if length is None else np.full(n_users, length), out=offsets[1:])
    user = torch.arange(n_rows, dtype=torch.int32) // ROWS_PER_USER
    level = torch.from_numpy(rng.integers(0, 11, (2, n_rows), dtype=np.uint8))
    generated = Rows(
        user=user, item=draw(n_rows), likes=level[0], views=level[1], history=user,
        values=draw(int(offsets[-1])), offsets=torch.from_numpy(offsets),
        n_items=n_items, max_len=max_len,
    )  # fmt: skip
    return generated, torch.from_numpy((rng.random(n_rows) < 0.25).astype(np.float32))
