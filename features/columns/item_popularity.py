"""How often an item is shown and clicked in the train rows of the other folds.

    i_popularity = ln(1 + shows)       shows: rows with the item as target; clicks: with label 1
    i_rate = (clicks + m r) / (shows + m)                          r: the mean label of all rows

The strength m of the smoothing follows from how much items differ beyond chance: with τ² the
variance of the items' true rates, m = r (1 - r) / τ² - 1. τ² by moments, DerSimonian & Laird 1986:

    τ² = (Q - (I - 1) r (1 - r)) / (N - Σ shows² / N)      Q = Σ shows (clicks / shows - r)²
"""

import numpy as np
import polars as pl

from features.store.store import Split, Store

COLUMNS = {"i_shows": pl.UInt32, "i_popularity": pl.Float32, "i_rate": pl.Float32}
MAX_STRENGTH = 1e6  # m if items differ by no more than chance


def fit(store: Store, rows: np.ndarray) -> dict[str, np.ndarray]:
    """COLUMNS (I,) of every item, from the train rows `rows`."""
    item, label = store.train.item[rows], store.train.label[rows]
    shows = np.bincount(item, minlength=len(store.items))
    clicks = np.bincount(item, weights=label, minlength=len(store.items))
    return dict(zip(COLUMNS, (shows, np.log1p(shows), smoothed(shows, clicks)), strict=True))


def describe(store: Store, split: Split, fitted: dict[str, np.ndarray]) -> pl.DataFrame:
    """One row for each row of `split`: COLUMNS."""
    item = np.asarray(split.item)
    return pl.DataFrame({name: of[item] for name, of in fitted.items()}).cast(COLUMNS)


def smoothed(shows: np.ndarray, clicks: np.ndarray) -> np.ndarray:
    """i_rate (I,) float64 of shows and clicks (I,); r where an item has neither and m is 0."""
    mean, strength = prior(shows, clicks)
    total = shows + strength
    return np.where(total > 0, (clicks + strength * mean) / np.where(total > 0, total, 1), mean)


def prior(shows: np.ndarray, clicks: np.ndarray) -> tuple[float, float]:
    """(r, m) of the module's equations."""
    n = shows.sum()
    mean = clicks.sum() / n
    chance, shown = mean * (1 - mean), shows[shows > 0]
    apart = (shown * (clicks[shows > 0] / shown - mean) ** 2).sum() - (len(shown) - 1) * chance
    variance = apart / max(n - (shown.astype(float) ** 2).sum() / n, 1)
    return mean, float(np.clip(chance / max(variance, 1e-12) - 1, 0, MAX_STRENGTH))
