"""Scores of rows, compared within their slates: a model of the choice, and how a slate is ranked.

The log-odds that row i of a slate is clicked, by the scores z of its rows:

    s_i = z_i / temperature
    log(p_i / (1 - p_i)) = bias + s_i - log(1 + weight Σ_{j != i} exp(s_j))

weight = 0 is the row alone. For weight -> inf with bias = log(weight) it is the softmax over the
slate, of which exactly one row is clicked: McFadden's conditional logit (1974, "Conditional logit
analysis of qualitative choice behavior"). In between, a slate may be without a click, or have
several; a row that stands alone keeps its own log-odds.

A slate is given by numbers (N,) int64: rows of one slate have one number
(features.slates.slate_numbers).
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

MOST_WEIGHT = 1e3  # of the other rows of an average slate, against 1: bounds a lone row's log-odds
FLATTEST = 30.0  # mean score in standard deviations; beyond that, exp would overflow
FITTED_SLATES = 20_000  # at most: three numbers need no more


class ChoiceModel(NamedTuple):
    """The fitted numbers of the module docstring."""

    temperature: float
    weight: float
    bias: float

    def log_odds(self, z: np.ndarray, slate: np.ndarray) -> np.ndarray:
        """log(p / (1 - p)) (N,) float64 of the scores z (N,) of rows in slates (N,) int64."""
        rows = _Sorted.of(z, slate)
        log_odds = np.empty(len(rows.z))
        log_odds[rows.order] = rows.log_odds(self)
        return log_odds


def fit_choice_model(z: np.ndarray, slate: np.ndarray, label: np.ndarray) -> ChoiceModel:
    """The model with the least log loss, summed over rows, by Nelder-Mead.

    z (N,) float, slate (N,) int64, label (N,) 0 and 1. Scores of rows that their own model was
    fitted on are too sharp, and so is what is fitted on them here.
    """
    taken = _some_slates(slate)
    rows = _Sorted.of(z[taken], slate[taken])
    clicked = np.asarray(label)[taken][rows.order]
    spread = max(float(rows.z.std()), abs(float(rows.z.mean())) / FLATTEST) or 1.0

    def model(point: np.ndarray) -> ChoiceModel:
        most = [3, np.log(MOST_WEIGHT), 20]
        log_temperature, log_weight, bias = np.clip(point, [-3, -20, -20], most)
        temperature = spread * float(np.exp(log_temperature))
        typical = np.exp(-np.mean(rows.z) / temperature) / max(rows.mean_size - 1, 1)
        return ChoiceModel(temperature, float(np.exp(log_weight) * typical), float(bias))

    def loss(point: np.ndarray) -> float:
        log_odds = rows.log_odds(model(point))
        return float(np.mean(np.logaddexp(0, log_odds) - log_odds * clicked))

    options = {"xatol": 1e-3, "fatol": 1e-8, "maxfev": 600}
    return model(minimize(loss, np.zeros(3), method="Nelder-Mead", options=options).x)


class _Sorted(NamedTuple):
    """N rows, slate by slate, the highest score of each first.

    order  (N,) where the rows stood; z (N,) their scores; nth (N,) the slate of each, from 0
    first  (S,) where each slate begins; second (S,) the highest of its other scores, or -inf
    """

    order: np.ndarray
    z: np.ndarray
    nth: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, slate: np.ndarray) -> "_Sorted":
        z = np.asarray(z, np.float64)
        order = np.lexsort((-z, slate))
        z, slate = z[order], slate[order]
        begins = np.r_[True, slate[1:] != slate[:-1]]
        nth, first = np.cumsum(begins) - 1, np.flatnonzero(begins)
        following = np.minimum(first + 1, len(z) - 1)
        has_other = np.diff(np.r_[first, len(z)]) > 1
        return cls(order, z, nth, first, np.where(has_other, z[following], -np.inf))

    @property
    def mean_size(self) -> float:
        return len(self.z) / len(self.first)

    def log_odds(self, model: ChoiceModel) -> np.ndarray:
        """(N,) in the sorted order."""
        s = self.z / model.temperature
        others = self._log_sum_of_others(s, self.second / model.temperature)
        with np.errstate(divide="ignore"):  # weight 0
            log_weight = np.log(model.weight)
        return model.bias + s - np.logaddexp(0, log_weight + others)

    def _log_sum_of_others(self, s: np.ndarray, second: np.ndarray) -> np.ndarray:
        """log Σ_{j != i} exp(s_j) (N,); -inf where there is no other row.

        The highest row's is summed up without it, so that nothing cancels.
        """
        top = s[self.first]
        share = np.exp(s - top[self.nth])
        total = np.add.reduceat(share, self.first)
        with np.errstate(divide="ignore"):
            others = top[self.nth] + np.log(total[self.nth] - share)
        finite = np.where(np.isfinite(second), second, 0)
        rest = np.exp(np.minimum(s - finite[self.nth], 0))
        rest[self.first] = 0
        with np.errstate(divide="ignore"):
            others[self.first] = finite + np.log(np.add.reduceat(rest, self.first))
        return others


def _some_slates(slate: np.ndarray) -> np.ndarray:
    """Positions of the rows of at most FITTED_SLATES slates, drawn with a fixed seed."""
    distinct = np.unique(slate)
    if len(distinct) > FITTED_SLATES:
        distinct = np.random.default_rng(0).choice(distinct, FITTED_SLATES, replace=False)
    return np.flatnonzero(np.isin(slate, distinct))
