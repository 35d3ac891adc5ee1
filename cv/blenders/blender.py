"""What a blender is, and what it may read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

Fitted = Mapping[str, Any]  # name of a blender -> its weights


class _Shared:
    """What was made of all rows, by its key."""

    def __init__(self) -> None:
        self.lock, self.made = Lock(), dict[Any, Any]()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a blender may read of N rows, by M models and F features; NaN features are unknown.

    logits    (N, M) float64, finite; columns in the order of `models`
    features  (N, F) float32; columns in the order of `names`
    slate     (N,) int64, the number of each row's slate (features.slates)

    Inputs that were taken from others are `rows` of the same arrays, copied when they are read.
    """

    models: tuple[str, ...]
    all_logits: np.ndarray
    all_slate: np.ndarray
    names: tuple[str, ...] = ()
    all_features: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    rows: np.ndarray | None = None
    _shared: _Shared = field(default_factory=_Shared, init=False, compare=False)

    @classmethod
    def of(
        cls,
        logits: Mapping[str, np.ndarray],
        features: Mapping[str, ArrayLike] | None = None,
        slate: np.ndarray | None = None,
    ) -> "Inputs":
        """From columns {name: (N,)}; without `slate`, every row stands alone.

        A feature may be anything that NumPy reads, such as a polars Series, whose nulls are NaN: it
        is read when its turn comes, so that no two copies of all features are held.

        Raises ValueError if a logit is not finite.
        """
        matrix = np.stack([np.asarray(column, np.float64) for column in logits.values()], 1)
        n_bad = int((~np.isfinite(matrix)).sum())
        if n_bad:
            raise ValueError(f"logits must be finite; got {n_bad} NaN or infinite of {matrix.size}")
        features = features or {}
        table = np.empty((len(matrix), len(features)), np.float32)
        for i, column in enumerate(features.values()):
            table[:, i] = column
        return cls(
            models=tuple(logits),
            all_logits=matrix,
            all_slate=np.arange(len(matrix)) if slate is None else slate,
            names=tuple(features),
            all_features=table,
        )

    @cached_property
    def logits(self) -> np.ndarray:
        return self._taken(self.all_logits)

    @cached_property
    def features(self) -> np.ndarray:
        return self._taken(self.all_features)

    @cached_property
    def slate(self) -> np.ndarray:
        return self._taken(self.all_slate)

    def _taken(self, array: np.ndarray) -> np.ndarray:
        return array if self.rows is None else array[self.rows]

    def take(self, rows: np.ndarray) -> "Inputs":
        """The rows of which `rows` is the mask, or the indices."""
        taken = replace(self, rows=self.positions[rows])
        object.__setattr__(taken, "_shared", self._shared)
        return taken

    @property
    def positions(self) -> np.ndarray:
        """Where the rows stand in the arrays, (N,) int64."""
        return np.arange(len(self.all_logits)) if self.rows is None else self.rows

    def shared(self, key: Any, make: Callable[["Inputs"], Any]) -> Any:
        """make(inputs of all rows), made once for all inputs that were taken from one."""
        with self._shared.lock:
            if key not in self._shared.made:
                self._shared.made[key] = make(replace(self, rows=None))
            return self._shared.made[key]

    def __len__(self) -> int:
        return len(self.all_logits if self.rows is None else self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blender:
    """One way to make one score of M logits and F features.

    fit             inputs, label (N,), user (N,) -> weights: an array with a number per model (M,)
                    and perhaps an intercept (M + 1,), `Trees`, `WithinSlates`, or two of these;
                    only `predict` reads them
    predict         weights, inputs of n rows -> score (n,) float64
    to_probability  score (n,) -> [0, 1], in the same order
    uses_slates     whether the score of a row depends on the other rows of its slate
    bases           names of the blenders that this one builds upon; its `fit` is then
                    fit(inputs, label, user, weights of the first, ...)
    combine         with bases: weights, inputs, scores (n,) of the first, ... -> score (n,), as
                    predict gives it
    """

    name: str
    fit: Callable[..., Any]
    predict: Callable[[Any, Inputs], np.ndarray]
    to_probability: Callable[[np.ndarray], np.ndarray] = expit
    uses_slates: bool = False
    bases: tuple[str, ...] = ()
    combine: Callable[..., np.ndarray] | None = None

    def fit_after(self, fitted: Fitted, inputs: Inputs, label: np.ndarray, user: np.ndarray) -> Any:
        """The weights; `fitted` holds those of its bases, fitted on the same rows."""
        return self.fit(inputs, label, user, *(fitted[base] for base in self.bases))

    def predict_after(
        self, scored: Mapping[str, np.ndarray], weights: Any, inputs: Inputs
    ) -> np.ndarray:
        """The scores; those of its bases are taken from `scored` where it has them."""
        if self.combine is None or not all(base in scored for base in self.bases):
            return self.predict(weights, inputs)
        return self.combine(weights, inputs, *(scored[base] for base in self.bases))
