"""Changed inputs that show whether a network reads the real history items and nothing else.

The store holds no padding, and a batch lists real entries only (models.batches.rows). A network
could still read two things that it should not:

    the padding item   row 0 of the item table, which every batch lists first and with which a
                       Transformer pads the shorter histories of a batch; tag and code 0
    older entries      those before the last `max_len` of a history

Both get other contents here, and the logits of rows with a history must not move. (A row without a
history may read the padding item instead, as published.) Other real items must move the logits.
"""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from models.batches.rows import Rows
from models.network import Network

SCALE = 10.0  # of the vectors that replace the padding: larger than any learned ones


def with_other_padding(network: Network, seed: int = 0) -> Network:
    """A copy of `network` with another padding item, padding tag and padding code."""
    g, changed = torch.Generator().manual_seed(seed), copy.deepcopy(network)
    item = changed.item
    embeddings = [table.weight for table in (item.id, item.tag, item.code) if table is not None]
    ids = [(item.tags, item.tag), (item.codes, item.code)]
    ids += [(changed.item_likes, changed.likes), (changed.item_views, changed.views)]
    with torch.no_grad():
        for rows in (*embeddings, item.content):
            rows[0] = (torch.randn(rows.shape[1:], generator=g) * SCALE).to(rows)
        for rows, table in ids:
            if rows is not None and len(table.weight) > 1:  # without tags there is none but 0
                rows[0] = torch.randint(1, len(table.weight), rows.shape[1:], generator=g).to(rows)
    return changed


def older(rows: Rows) -> Tensor:
    """Bool (S,): entries of `rows.values` before the last `max_len`, which no batch holds."""
    length = rows.end - rows.begin
    end = torch.repeat_interleave(rows.end, length)
    return torch.arange(len(rows.values), device=end.device) < end - rows.max_len


def with_other_items(rows: Rows, where: Tensor, seed: int = 0) -> Rows:
    """The rows, with another real item at every entry `where` (S,) of the histories.

    The rows themselves where there is one real item only.
    """
    g, n_real = torch.Generator().manual_seed(seed), rows.n_items - 1
    step = torch.randint(1, max(n_real, 2), rows.values.shape, generator=g).to(rows.device)
    other = (rows.values - 1 + step) % n_real + 1
    return replace(rows, values=torch.where(where, other.to(rows.values), rows.values))


def with_columns_of_other_rows(rows: Rows, seed: int = 0) -> Rows:
    """The rows, where every row has the columns of one other row."""
    circle = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    other = torch.empty_like(circle)
    other[circle] = circle.roll(-1)
    return replace(rows, columns=rows.columns[other.to(rows.device)])


def with_histories_of_other_users(rows: Rows, seed: int = 0) -> Rows:
    """The rows, where every user has the history of one row of one other user."""
    _, user = torch.unique(rows.user, return_inverse=True)
    n_users = int(user.max()) + 1
    one_history = torch.empty(n_users, dtype=rows.history.dtype, device=rows.device)
    one_history[user] = rows.history
    circle = torch.randperm(n_users, generator=torch.Generator().manual_seed(seed)).to(rows.device)
    other_user = torch.empty_like(circle)
    other_user[circle] = circle.roll(-1)
    return replace(rows, history=one_history[other_user[user]])
