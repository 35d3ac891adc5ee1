"""A fitted blender, read back from what 60_blend wrote down: blend.json and LightGBM's texts.

JSON and the texts hold every number with all its digits, so what is read back predicts the same.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from cv.blenders import stacker
from cv.blenders.registry import BLENDERS_BY_NAME
from cv.blenders.stacker import Trees
from cv.blenders.within_slates import WithinSlates
from cv.slates import columns
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


def feature_names(weights: Any, models: Collection[str]) -> list[str]:
    """The columns of 30_features that a blender with these weights reads, in their order.

    models  of the blend, whose logits are other columns of its trees
    """
    if isinstance(weights, WithinSlates):
        return feature_names(weights.base, models)
    if isinstance(weights, Trees):
        names = stacker.names(weights.text)
        others = {*models, *columns.names(tuple(names))}
        return [name for name in names if name not in others]
    if isinstance(weights, tuple):  # the parts of a mean, which read the same columns
        return feature_names(weights[0], models)
    return []


def _base(folder: Path, figures: dict) -> Trees | np.ndarray:
    if "file" in figures:
        return Trees((folder / figures["file"]).read_text(encoding="utf-8"), *NO_ROWS)
    return np.array(list(figures["weights"].values()))
