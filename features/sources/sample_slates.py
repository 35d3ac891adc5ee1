"""The sample's slates: which of the candidates that a user sees together are clicked.

    data.slates=independent  every row is clicked by a draw of its own: the control
    data.slates=one_click    exactly one of a user's four candidates is clicked
    data.slates=broken       as one_click, but the slate of every 20th user is broken: in turn it
                             has five candidates, two clicks or no click

With w = exp(logit), clicks are drawn by w without replacement. Every row then has two chances of a
click, and each is the best score for what it knows:

    click_probability_in_slate  Known are all candidates C. One click: w_i / Σ_C w. A second click
                                adds Σ_{j≠i} (w_j / Σ_C w) (w_i / (Σ_C w - w_j)). How many clicks a
                                slate of four has is hidden: the mean over one, two and none.
    click_probability           Known is the row alone. The other candidates are unknown, but their
                                logits depend on the history, which the row shows. So the chance in
                                the slate is averaged over N_OTHERS sets of others, drawn by
                                popularity; a set with an item of the history or of the row does
                                not count. Sizes of slates count as rows have them.

The row's own logit would not do: a history of one topic leaves few candidates with high logits
beside the row, a history of three topics more.
"""

from typing import NamedTuple

import numpy as np

from features.sources.sample_world import (
    TARGETS,
    World,
    click_logit,
    click_logit_of_all,
    draw_targets,
)

EVERY = 20  # one slate of so many is broken
INTACT, FIVE, TWO, NONE = range(4)
N_OTHERS, USERS_PER_BLOCK = 2048, 64


class Histories(NamedTuple):
    """H histories, as features.sources.sample_world makes them."""

    values: np.ndarray  # (T,) int64, ids, oldest first
    offsets: np.ndarray  # (H + 1,) int64
    padded: np.ndarray  # (H, WIDTH) int32

    def part(self, start: int, end: int) -> "Histories":
        offsets = self.offsets[start : end + 1]
        values = self.values[offsets[0] : offsets[-1]]
        return Histories(values, offsets - offsets[0], self.padded[start:end])


class Slates(NamedTuple):
    """n slates of up to k candidates, each array (n, k)."""

    items: np.ndarray  # int64, ids
    weight: np.ndarray  # float64, exp(logit); 0 where the slate has fewer than k candidates
    clicked: np.ndarray  # bool


def draw(slates: str, world: World, histories: Histories, rng: np.random.Generator) -> Slates:
    """Draw a slate for each history, and its clicks."""
    items = draw_targets(world, rng, histories.padded, _width(slates))
    logits = click_logit(world, histories.values, histories.offsets, items)
    kind = np.full(len(items), INTACT)
    if slates == "broken":
        kind[EVERY - 1 :: EVERY] = np.resize([FIVE, TWO, NONE], len(items) // EVERY)
    n_shown = np.where(kind == FIVE, TARGETS + 1, TARGETS)
    n_clicks = np.select([kind == TWO, kind == NONE], [2, 0], 1)
    weight = np.exp(logits) * (np.arange(items.shape[1]) < n_shown[:, None])
    # Sampling without replacement: the largest weights over exponential draws (Efraimidis and
    # Spirakis 2006, "Weighted random sampling with a reservoir").
    rank = np.argsort(np.argsort(-weight / rng.exponential(size=weight.shape), axis=1), axis=1)
    return Slates(items, weight, rank < n_clicks[:, None])


def chances(
    slates: str, world: World, histories: Histories, drawn: Slates, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The columns of the module docstring, each (n, k) float64."""
    n, k = drawn.items.shape
    sets = draw_targets(world, rng, np.zeros((N_OTHERS, 1), np.int32), k - 1).T
    alone = np.empty((n, k))
    for start in range(0, n, USERS_PER_BLOCK):
        end = start + USERS_PER_BLOCK
        part = Slates(*(column[start:end] for column in drawn))
        alone[start:end] = _alone(slates, world, histories.part(start, end), part, sets)
    return {
        "click_probability": alone,
        "click_probability_in_slate": in_slate(slates, drawn.weight),
    }


def in_slate(slates: str, weight: np.ndarray) -> np.ndarray:
    """The chance of a click given the whole slate, (n, k); weights as in `Slates`."""
    rows = range(weight.shape[1])
    chance = [_chance(slates, weight[:, i], [weight[:, j] for j in rows if j != i]) for i in rows]
    return np.stack(chance, axis=1)


def _chance(slates: str, weight: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """The chance that the row of `weight` is clicked beside `others`; arrays of any one shape."""
    total = weight + sum(others)
    share = weight / total
    if slates != "broken":
        return share
    second = share * sum(other / (total - other) for other in others)
    n_one, n_two, n_none = 3 * (EVERY - 1), 1, 1  # slates of four, of 3 * EVERY slates
    mean = ((n_one + n_two) * share + n_two * second) / (n_one + n_two + n_none)
    of_four = sum((other > 0).astype(np.int8) for other in others) == TARGETS - 1
    return np.where(of_four, mean, share)


def _alone(
    slates: str, world: World, histories: Histories, drawn: Slates, sets: np.ndarray
) -> np.ndarray:
    """The chance of a click given the row alone, (H, k), by sets of others (k - 1, N_OTHERS)."""
    (n, k), every = drawn.items.shape, np.arange(len(drawn.items))[:, None]
    n_five = 1 if slates == "broken" else 0  # of 3 * EVERY slates
    n_rows = {TARGETS: TARGETS * (3 * EVERY - n_five), TARGETS + 1: (TARGETS + 1) * n_five}
    in_history = np.zeros((n, len(world.tags)), bool)
    in_history[every, histories.padded] = True
    weights, chance = [], np.zeros((n, k))
    for others in sets:
        logit = click_logit_of_all(world, histories.values, histories.offsets, others)
        weights.append(np.exp(logit))
    for size in range(TARGETS, k + 1):
        excluded = np.any([in_history[:, others] for others in sets[: size - 1]], axis=0)
        for row in range(k):
            again = (sets[: size - 1] == drawn.items[:, row, None, None]).any(axis=1)
            counts = ~(excluded | again)
            of_set = _chance(slates, drawn.weight[:, [row]], weights[: size - 1])
            mean = (of_set * counts).sum(axis=1) / counts.sum(axis=1)
            chance[:, row] += n_rows[size] / sum(n_rows.values()) * mean
    return chance


def _width(slates: str) -> int:
    """The size of the largest slates."""
    return TARGETS + 1 if slates == "broken" else TARGETS
