"""Random rows and items of the challenge's shape, in memory; their labels are noise, or learnable.

An item of popularity rank k is drawn in proportion to (k + 10)^-0.8, so that a batch has about as
many distinct items as one of MicroLens-50k with as large a table. History lengths are geometric
from 3 on with mean 8, or fixed; four rows share a user and a history. Imports numpy and torch only.

Component j of a content vector has a standard deviation in proportion to 1 / j, as after a PCA.
Learnable labels: of a user's four rows one is clicked, row i with the chance softmax(score)_i of

    score = 6 cos(e_target, mean of e over the history) - 0.2 log(k + 10) + 0.2 (likes - views)

with content vectors e. A network has to learn the cosine, which a few large components decide.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.batches.rows import Rows, spans
from models.items import ItemTable

N_ITEMS, N_TAGS, CONTENT = 91_718, 11_740, 128
SHORTEST, MEAN_LENGTH = 3, 8
ROWS_PER_USER = 4
ROWS_AT_ONCE = 262_144  # whose content vectors are in memory together


def items(n_items: int = N_ITEMS, seed: int = 0) -> ItemTable:
    """Five left-padded tags per item, content vectors of about unit length, and levels."""
    rng = np.random.default_rng(seed)
    tags = rng.integers(1, N_TAGS, (n_items, 5), dtype=np.int32)
    tags[np.arange(5) < rng.integers(0, 6, (n_items, 1))] = 0
    spectrum = 1 / np.arange(1, CONTENT + 1, dtype=np.float32)
    spectrum /= np.sqrt((spectrum**2).sum())
    content = rng.standard_normal((n_items, CONTENT), dtype=np.float32) * spectrum
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
        values=draw(int(offsets[-1])), **spans(torch.from_numpy(offsets)),
        n_items=n_items, max_len=max_len,
    )  # fmt: skip
    return generated, torch.from_numpy((rng.random(n_rows) < 0.25).astype(np.float32))


def learnable_labels(rows: Rows, items: ItemTable, seed: int = 0) -> Tensor:
    """Labels (N,) float32 of generated rows, on their device: one click per user, see above."""
    score = click_scores(rows, items)
    noise = torch.rand(len(score), generator=torch.Generator().manual_seed(seed))
    gumbel = -torch.log(-torch.log(noise.clamp(1e-12, 1 - 1e-7)))  # argmax(s + g) ~ softmax(s)
    drawn = F.pad(score + gumbel.to(score.device), (0, -len(rows) % ROWS_PER_USER), value=-np.inf)
    clicked = drawn.view(-1, ROWS_PER_USER).argmax(1)
    return F.one_hot(clicked, ROWS_PER_USER).flatten()[: len(rows)].float()


def click_scores(rows: Rows, items: ItemTable) -> Tensor:
    """Scores (N,) float32 that decide the clicks of generated rows; see the module docstring."""
    content = items.content.to(rows.device)
    match = []
    for index in torch.arange(len(rows), device=rows.device).split(ROWS_AT_ONCE):
        entries, _, offsets = rows.entries(index, None)
        history = F.embedding_bag(entries, content, offsets, mode="mean", include_last_offset=True)
        match.append(F.cosine_similarity(content[rows.item[index].long()], history))
    levels = rows.likes.float() - rows.views.float()
    return 6 * torch.cat(match) - 0.2 * torch.log(rows.item + 10.0) + 0.2 * levels
