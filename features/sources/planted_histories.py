"""Leaks in the sample's histories, for 15_probe to find; see planted_leaks.py."""

import numpy as np

from features.sources.sample_world import TARGETS

CUT_ITEMS = 2  # history items that rows without a click lose
SHIFTED_ITEMS = 4  # history items that rows of the shifted train keep
CHANGED = 0.5  # share of clicks
WAYS = ("reversed", "repeated", "swapped")


def earlier(history: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Histories (N, W) that end CUT_ITEMS earlier in rows without a click."""
    cut = np.pad(history, [(0, 0), (CUT_ITEMS, 0)])[:, :-CUT_ITEMS]
    return np.where(label[:, None] == 1, history, cut)


def shortened(history: np.ndarray) -> np.ndarray:
    """The last SHIFTED_ITEMS of histories (N, W)."""
    recent = np.arange(history.shape[1]) >= history.shape[1] - SHIFTED_ITEMS
    return np.where(recent, history, 0)


def with_last(
    history: np.ndarray, label: np.ndarray, item: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Histories (N, W) of which those of half of the clicks have `item` (N,) as the last item."""
    shown = (label == 1) & (rng.random(len(label)) < CHANGED)
    last = np.where(shown, item, history[:, -1]).astype(history.dtype)
    return np.column_stack([history[:, :-1], last])


def with_other_rows_click(
    history: np.ndarray,
    label: np.ndarray,
    item: np.ndarray,
    user: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Histories (N, W): one of each user's has the item of another, clicked row as the last one.

    Which row has it does not depend on labels: without another click it has another user's item.
    Every user has TARGETS rows, so that about half of the clicks are in another row's history.
    """
    rows = np.argsort(user, kind="stable").reshape(-1, TARGETS)
    carrier = rng.integers(TARGETS, size=len(rows))
    here = np.arange(len(rows))
    wanted = rng.random(rows.shape) * (label[rows] == 1)
    wanted[here, carrier] = 0
    source, at = rows[here, wanted.argmax(1)], rows[here, carrier]
    filler = history[rng.permutation(at), -1]
    planted = history.copy()
    planted[at, -1] = np.where(wanted.max(1) > 0, item[source], filler)
    return planted


def changed(history: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Histories (N, W) of which those of half of the clicks are changed, each in one of WAYS.

    reversed: the oldest item comes last. repeated: the last item is there twice, in place of the
    one before it. swapped: another row's last item stands in the place of the third last.
    """
    way = rng.choice(WAYS, len(label))
    way[(label != 1) | (rng.random(len(label)) >= CHANGED)] = "kept"
    planted, width = history.copy(), history.shape[1]
    place = 2 * width - 1 - (history > 0).sum(1)[:, None] - np.arange(width)
    backwards = np.take_along_axis(history, np.clip(place, 0, width - 1), axis=1)
    planted[way == "reversed"] = np.where(history > 0, backwards, 0)[way == "reversed"]
    planted[way == "repeated", -2] = history[way == "repeated", -1]
    planted[way == "swapped", -3] = history[rng.permutation(len(history)), -1][way == "swapped"]
    return planted
