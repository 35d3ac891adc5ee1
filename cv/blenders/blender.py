"""What a blender is, and what it may read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit

Fitted = Mapping[str, Any]  # name of a blender -> its weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a blender may read of N rows, by M models and F features; NaN features are unknown.

    logits    (N, M) float64, finite; columns in the order of `models`
    features  (N, F) float32; columns in the order of `names`
    slate     (N,) int64, the number of each row's slate (features.slates)
    """

    models: tuple[str, ...]
    logits: np.ndarray
    slate: np.ndarray
    names: tuple[str, ...] = ()
    features: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @classmethod
    def of(
        cls,
        logits: Mapping[str, np.ndarray],
        features: Mapping[str, np.ndarray] | None = None,
        slate: np.ndarray | None = None,
    ) -> "Inputs":
        """From columns {name: (N,)}; without `slate`, every row stands alone.

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
            logits=matrix,
            slate=np.arange(len(matrix)) if slate is None else slate,
            names=tuple(features),
            features=table,
        )

    def take(self, rows: np.ndarray) -> "Inputs":
        """The rows of which `rows` is the mask, or the indices."""
        return Inputs(
            models=self.models,
            logits=self.logits[rows],
            slate=self.slate[rows],
            names=self.names,
            features=self.features[rows],
        )

    def __len__(self) -> int:
        return len(self.logits)


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
    """

    name: str
    fit: Callable[..., Any]
    predict: Callable[[Any, Inputs], np.ndarray]
    to_probability: Callable[[np.ndarray], np.ndarray] = expit
    uses_slates: bool = False
    bases: tuple[str, ...] = ()

    def fit_after(self, fitted: Fitted, inputs: Inputs, label: np.ndarray, user: np.ndarray) -> Any:
        """The weights; `fitted` holds those of its bases, fitted on the same rows."""
        return self.fit(inputs, label, user, *(fitted[base] for base in self.bases))
