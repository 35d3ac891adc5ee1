"""A fitted blender, read back from what 60_blend wrote down: blend.json and LightGBM's texts.

JSON and the texts hold every number with all its digits, so what is read back predicts the same.
"""

from pathlib import Path
from typing import Any

import numpy as np

from cv.blenders.registry import BLENDERS_BY_NAME
from cv.blenders.stacker import Trees
from cv.blenders.within_slates import WithinSlates
from cv.slates.choice import ChoiceModel

NO_ROWS = np.empty(0, bool), np.empty(0)  # only a fit asks which rows chose the number of trees


def read(folder: Path, blend: dict, name: str) -> Any:
    """The weights of blender `name` for its `predict`: the inverse of evaluate.add_weights.

    folder  of 60_blend; blend  its blend.json
    """
    figures, bases = blend["blenders"][name], BLENDERS_BY_NAME[name].bases
    if "choice" in figures:
        return WithinSlates(_base(folder, figures), ChoiceModel(**figures["choice"]))
    if bases and tuple(figures.get("weights", ())) == bases:  # their shares
        return tuple(read(folder, blend, base) for base in bases)
    return _base(folder, figures)


def reads_features(weights: Any) -> bool:
    """Whether a blender with these weights reads the columns of 30_features."""
    if isinstance(weights, WithinSlates):
        return reads_features(weights.base)
    if isinstance(weights, tuple) and not isinstance(weights, Trees):
        return any(reads_features(part) for part in weights)
    return isinstance(weights, Trees)


def _base(folder: Path, figures: dict) -> Trees | np.ndarray:
    if "file" in figures:
        return Trees((folder / figures["file"]).read_text(encoding="utf-8"), *NO_ROWS)
    return np.array(list(figures["weights"].values()))
