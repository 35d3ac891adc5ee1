"""Blenders of columns of any kind: LightGBM on the features, alone or beside the logits."""

from collections.abc import Callable

import numpy as np

from cv.blenders import stacker
from cv.blenders.blender import Blender, Inputs
from cv.blenders.stacker import Columns, Trees


def trees(name: str, columns: Callable[[Inputs], Columns]) -> Blender:
    """LightGBM on some `columns`; its weights are `Trees`."""

    def fit(inputs: Inputs, label: np.ndarray, user: np.ndarray) -> Trees:
        return stacker.fit(inputs, columns, label, user)

    def predict(weights: Trees, inputs: Inputs) -> np.ndarray:
        return stacker.predict(weights.text, columns(inputs)[0])

    return Blender(name=name, fit=fit, predict=predict)


def features(inputs: Inputs) -> Columns:
    return inputs.features, inputs.names


def everything(inputs: Inputs) -> Columns:
    """The logits, then the features."""
    logits = inputs.logits.astype(np.float32)
    return np.hstack([logits, inputs.features]), (*inputs.models, *inputs.names)


FEATURES_ONLY = trees("features_only", features)
LIGHTGBM = trees("lightgbm", everything)
