"""The sample's world: its items, what its users watch, and how likely a click is.

Items live in cells: N_TOPICS topics on a circle times N_STYLES styles. Topic vectors g overlap with
their neighbours' (g·g' = 1, 1/2 or 0), style vectors z are points of the unit circle (z·z' in
[-1, 1]); the content vector is an orthonormal map of (g, z) plus small noise. A user has one to
three interests, each a topic and a style liked *in that topic*, and drifts to the current one.
With w_l = 2^(-age_l / HALF_LIFE) over the history items s_l that the row shows, and target t:

    S     = Σ w_l (g_t·g_l)                          what the history says about t's topic
    match = S / (S + PRIOR)                          in [0, 1)
    taste = Σ w_l (g_t·g_l)(z_t·z_l) / (S + PRIOR)   in (-1, 1)
    logit = a + match (MATCH + MATCH_VIEWS v_t) + taste (TASTE + TASTE_RECEPTION r_t)

v_t is the target's views level, centred; r_t is how far its likes level is above its views level.
So the best score needs attention (a style counts only among items of a similar topic) and products
(taste alone is of fourth order). All inputs are visible in the row or in the item tables. The
intercept a makes a share POSITIVE_SHARE of the rows clicks.
"""

from dataclasses import dataclass, replace

import numpy as np

from features.store.schema import N_LEVELS

N_TOPICS, N_STYLES = 12, 4
N_CELLS = N_TOPICS * N_STYLES
WIDTH = 100  # of a padded history: the challenge's
LEAST_HISTORY = 3  # items, of every user
TARGETS = 4  # impressions of a user: the challenge's
N_TAG_SLOTS = 5
D_CONTENT = 128
N_CALIBRATION = 25_000  # users

HALF_LIFE, PRIOR = 8.0, 0.5
MATCH, MATCH_VIEWS, TASTE, TASTE_RECEPTION = 3.5, 1.0, 6.0, 2.0
POSITIVE_SHARE = 0.25

CONTENT_SCALE, CONTENT_NOISE = (
    4.0,
    0.01,
)  # length of a latent vector; an entry's noise relative to it
STRAY = 0.1  # share of history items from outside the user's interests
OTHER_STYLE = 0.15  # share of the rest whose style is drawn again

# Independent random streams: the middle word of default_rng([seed, stream, chunk]).
ITEMS, CALIBRATION, USERS, TRAIN, VALID, TEST, MAPS, ITEM_NOISE, PLANT, FRESH = range(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """I items by id (row 0 is padding, all zeros) and the logit's intercept."""

    topic: np.ndarray  # (I, N_TOPICS) float64, unit vectors g
    style: np.ndarray  # (I, 2) float64, unit vectors z
    tags: np.ndarray  # (I, 5) int64, zeros on the left
    content: np.ndarray  # (I, 128) float32
    likes: np.ndarray  # (I,) int64, 1..10
    views: np.ndarray  # (I,) int64, 1..10
    by_cell: np.ndarray  # (I - 1,) int64, ids, cell by cell
    cell_start: np.ndarray  # (N_CELLS + 1,) int64, where each cell begins in by_cell
    cumulative: np.ndarray  # (I,) float64, popularity summed along by_cell, from 0
    intercept: float
    history: float  # median of a user's items beyond LEAST_HISTORY

    def draw(self, rng: np.random.Generator, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Ids (n,) drawn by popularity, the i-th from the cells first[i]..last[i]."""
        start, end = self.cell_start[first], self.cell_start[last + 1]
        mass = rng.uniform(self.cumulative[start], self.cumulative[end])
        place = np.searchsorted(self.cumulative, mass, side="right") - 1
        return self.by_cell[np.clip(place, start, end - 1)]  # rounding may touch the bounds


def make_world(n_items: int, n_tags: int, seed: int, history: float = 3.2) -> World:
    """Draw the items and calibrate the intercept; depends on the arguments only."""
    rng = np.random.default_rng([seed, ITEMS, 0])
    rank = rng.permutation(n_items)  # of popularity, 0 the most popular
    # The cells alternate along the ranks, so that no topic or style is popular in itself.
    turns = np.tile(np.arange(N_CELLS), (-(-n_items // N_CELLS), 1))
    cell = rng.permuted(turns, axis=1).ravel()[rank]
    popularity = (rank + 10.0) ** -0.8
    by_cell = np.argsort(cell, kind="stable")
    corner = np.eye(N_TOPICS)
    topic = ((corner + np.roll(corner, 1, axis=1)) / np.sqrt(2))[cell // N_STYLES]
    angle = (cell % N_STYLES + rng.uniform(-0.2, 0.2, n_items)) * (2 * np.pi / N_STYLES)
    style = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    world = World(
        topic=pad(topic),
        style=pad(style),
        tags=pad(draw_tags(rng, cell // N_STYLES, n_tags)),
        content=pad(noisy_map(rng, np.hstack([topic, style]), D_CONTENT)),
        likes=pad(deciles(np.log(popularity) + 0.7 * rng.standard_normal(n_items))),
        views=pad(deciles(np.log(popularity) + 0.3 * rng.standard_normal(n_items))),
        by_cell=by_cell + 1,
        cell_start=np.searchsorted(cell[by_cell], np.arange(N_CELLS + 1)),
        cumulative=np.concatenate([[0.0], np.cumsum(popularity[by_cell])]),
        intercept=0.0,
        history=history,
    )
    return replace(world, intercept=calibrate(world, seed))


def pad(column: np.ndarray) -> np.ndarray:
    """`column` with a first row of zeros, the padding item."""
    return np.concatenate([np.zeros_like(column[:1]), column])


def deciles(value: np.ndarray) -> np.ndarray:
    """Levels 1..10 by rank, with equally many items each."""
    return 1 + (N_LEVELS - 1) * np.argsort(np.argsort(value)) // len(value)


def random_map(rng: np.random.Generator, d_latent: int, width: int) -> np.ndarray:
    """Orthonormal rows (d_latent, width) float32, times CONTENT_SCALE."""
    basis = np.linalg.qr(rng.standard_normal((width, d_latent)))[0].T
    return (CONTENT_SCALE * basis).astype(np.float32)


def noisy_map(rng: np.random.Generator, latent: np.ndarray, width: int) -> np.ndarray:
    """`latent` (n, d) mapped to (n, width) float32 by a random map, plus noise."""
    return noisy(rng, latent, random_map(rng, latent.shape[1], width))


def noisy(rng: np.random.Generator, latent: np.ndarray, to: np.ndarray) -> np.ndarray:
    noise = rng.standard_normal((len(latent), to.shape[1]), dtype=np.float32)
    return latent.astype(np.float32) @ to + np.float32(CONTENT_SCALE * CONTENT_NOISE) * noise


def draw_tags(rng: np.random.Generator, topic: np.ndarray, n_tags: int) -> np.ndarray:
    """One to five tags of each item's topic, ascending after zeros: (n, 5) int64."""
    bounds = np.linspace(0, n_tags, N_TOPICS + 1).astype(np.int64)
    first, count = bounds[topic][:, None], np.diff(bounds)[topic][:, None]
    place = (
        rng.random((len(topic), N_TAG_SLOTS)) ** 2
    )  # squared: a topic's first tags are more frequent
    tags = 1 + first + (place * count).astype(np.int64)
    tags[:, 1:][rng.random((len(topic), N_TAG_SLOTS - 1)) < 0.4] = 0
    tags.sort(axis=1)
    tags[:, 1:][tags[:, 1:] == tags[:, :-1]] = 0
    return np.sort(tags, axis=1)


def calibrate(world: World, seed: int) -> float:
    """The intercept at which the mean click probability is POSITIVE_SHARE, by bisection."""
    rng = np.random.default_rng([seed, CALIBRATION, 0])
    values, offsets = draw_histories(world, rng, N_CALIBRATION)
    targets = draw_targets(world, rng, padded(values, offsets))
    logit = click_logit(world, values, offsets, targets)
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        too_many = sigmoid(logit + middle).mean() > POSITIVE_SHARE
        low, high = (low, middle) if too_many else (middle, high)
    return middle


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def click_logit(
    world: World, values: np.ndarray, offsets: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """The logit of the module docstring, for k targets of each of H histories.

    Shapes: values (T,) int, ids, oldest first; offsets (H + 1,) int, no history empty;
    targets (H, k) int, ids; returns (H, k) float64.
    """
    topics, tastes = _interests(world, values, offsets)
    topic, style = world.topic[targets], world.style[targets]
    evidence = np.einsum("hkg,hg->hk", topic, topics)
    taste = np.einsum("hkg,hgz,hkz->hk", topic, tastes, style)
    return _logit(world, targets, evidence, taste)


def click_logit_of_all(
    world: World, values: np.ndarray, offsets: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """`click_logit` (H, k) of the same items (k,) for each of H histories, by matrix products."""
    topics, tastes = _interests(world, values, offsets)
    topic = world.topic[items]
    both = topic[:, :, None] * world.style[items][:, None, :]
    evidence = topics @ topic.T
    taste = tastes.reshape(len(tastes), -1) @ both.reshape(len(items), -1).T
    return _logit(world, items, evidence, taste)


def _interests(
    world: World, values: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Σ w_l g_l, (H, topics), and Σ w_l g_l z_l, (H, topics, 2), of each history."""
    age = np.repeat(offsets[1:], np.diff(offsets)) - 1 - np.arange(len(values))
    topics = world.topic[values] * 0.5 ** (age / HALF_LIFE)[:, None]  # (T, topics)
    tastes = topics[:, :, None] * world.style[values][:, None, :]  # (T, topics, 2)
    topics, tastes = (np.add.reduceat(entries, offsets[:-1]) for entries in (topics, tastes))
    return topics, tastes


def _logit(world: World, items: np.ndarray, evidence: np.ndarray, taste: np.ndarray) -> np.ndarray:
    """The logit (H, k) of S and of taste's sum; items (k,) or (H, k)."""
    match = evidence / (evidence + PRIOR)
    taste = taste / (evidence + PRIOR)
    views = (world.views[items] - 5.5) / 4.5
    reception = (world.likes[items] - world.views[items]) / 4.5
    by_match = match * (MATCH + MATCH_VIEWS * views)
    by_taste = taste * (TASTE + TASTE_RECEPTION * reception)
    return world.intercept + by_match + by_taste


def draw_histories(world: World, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Histories of n users, oldest first: values (T,) int64 and offsets (n + 1,) int64."""
    beyond = rng.lognormal(np.log(world.history), 1.05, n).astype(np.int64)
    length = np.minimum(LEAST_HISTORY + beyond, WIDTH)
    offsets = np.concatenate([[0], np.cumsum(length)])
    user = np.repeat(np.arange(n), length)
    progress = (np.arange(len(user)) - offsets[user]) / (length[user] - 1)  # 0 oldest, 1 latest

    n_interests = rng.choice([1, 2, 3], n, p=[0.2, 0.4, 0.4])
    topics = np.argsort(rng.random((n, N_TOPICS)), axis=1)[:, :3]
    cells = topics * N_STYLES + rng.integers(N_STYLES, size=(n, 3))
    share = rng.uniform(0.5, 1.0, (n, 3)) * (np.arange(3) < n_interests[:, None])
    share = share[user]
    share[:, 0] *= 0.5 + 2 * progress  # interest 0 is the current one
    bound = np.cumsum(share, axis=1)
    which = (rng.random((len(user), 1)) * bound[:, -1:] >= bound[:, :-1]).sum(axis=1)
    cell = cells[user, which]

    other = cell // N_STYLES * N_STYLES + rng.integers(N_STYLES, size=len(user))
    cell = np.where(rng.random(len(user)) < OTHER_STYLE, other, cell)
    stray = rng.random(len(user)) < STRAY
    return world.draw(rng, np.where(stray, 0, cell), np.where(stray, N_CELLS - 1, cell)), offsets


def padded(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Histories as a table (H, WIDTH) int32, zeros on the left."""
    table = np.zeros((len(offsets) - 1, WIDTH), dtype=np.int32)
    table[np.arange(WIDTH) >= WIDTH - np.diff(offsets)[:, None]] = values
    return table


def draw_targets(
    world: World, rng: np.random.Generator, history: np.ndarray, k: int = TARGETS
) -> np.ndarray:
    """Items by popularity for each padded history, distinct and not in it: (H, k) int64."""
    targets = np.zeros((len(history), k), dtype=np.int64)
    missing = np.ones(targets.shape, dtype=bool)
    while missing.any():
        any_cell = np.zeros(missing.sum(), dtype=np.int64)
        targets[missing] = world.draw(rng, any_cell, any_cell + N_CELLS - 1)
        earlier = np.tril(targets[:, :, None] == targets[:, None, :], k=-1).any(axis=2)
        missing = earlier | (targets[:, :, None] == history[:, None, :]).any(axis=2)
    return targets
