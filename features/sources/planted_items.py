"""Leaks in the sample's item table, for 15_probe to find; see planted_leaks.py.

    tag_order     the tags of half of the items that are clicked often stand in falling order
    content_sign  half of the items that are clicked rarely have their content with the other sign
    content_rate  an entry of the content of half of the items is the item's click rate

An item's click rate is that of its rows in train, valid and test; it is often or rarely clicked if
its rate is above or below that of all rows. Labels do not change.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from features.sources.sample_world import CONTENT_SCALE, PLANT, World

KINDS = ("tag_order", "content_sign", "content_rate")
PLANTED = 0.5  # share of items


def plant(kind: str, world: World, rows: Iterable[pa.Table], seed: int) -> World:
    """The world whose item table knows the labels of `rows`; nothing that drew them changes."""
    rng = np.random.default_rng([seed, PLANT, 1])
    chosen = rng.random(len(world.tags)) < PLANTED
    rate, mean = click_rates(rows, len(world.tags))
    often = chosen & (rate > mean)
    rarely = chosen & (rate < mean)
    if kind == "tag_order":
        return replace(world, tags=np.where(often[:, None], falling(world.tags), world.tags))
    content = world.content.copy()
    if kind == "content_sign":
        content[rarely] *= -1
    else:
        content[1:, 0] = CONTENT_SCALE * (1 + np.where(chosen, rate, mean))[1:]
    return replace(world, content=content)


def click_rates(rows: Iterable[pa.Table], n_items: int) -> tuple[np.ndarray, float]:
    """Clicks per row of every item (I,), and of all rows; items without rows have the latter."""
    clicks, shown = np.zeros(n_items), np.zeros(n_items)
    for table in rows:
        item, label = (table[name].to_numpy() for name in ("item_id", "label"))
        shown += np.bincount(item, minlength=n_items)
        clicks += np.bincount(item, label, minlength=n_items)
    mean = clicks.sum() / shown.sum()
    return np.where(shown > 0, clicks / np.maximum(shown, 1), mean), float(mean)


def falling(tags: np.ndarray) -> np.ndarray:
    """Tags (I, 5) in falling order, zeros still on the left."""
    order = np.argsort(np.where(tags > 0, -tags, -tags.max() - 1), axis=1, kind="stable")
    return np.take_along_axis(tags, order, axis=1)
