"""serving.json: what a caller of an exported network must know, without reading our source.

model                 file name of the network
inputs                of the network, in its order: see `described`
output                its name, dtype, shape, what it means, what to apply to it
candidates_at_once    more of them in one call need much memory: split them
fit                   name, commit and scores of the network; null where they are not known
example               the command that scores rows.parquet
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError
from models.network import N_LEVELS
from models.serving.network import ServingNetwork
from models.serving.request import CANDIDATES_AT_ONCE
from pipeline.artifacts.json_files import read_json

MODEL, MANIFEST = "model.onnx", "serving.json"
INPUTS = {  # name -> dimension, column of the challenge's files, meaning
    "history": ("entries", "item_seq", "item ids of what the user clicked before"),
    "candidates": ("candidates", "item_id", "item ids, each of which is scored"),
    "likes": ("candidates", "likes_level", "likes level of each candidate, 0 where unknown"),
    "views": ("candidates", "views_level", "views level of each candidate, 0 where unknown"),
    "user": (1, "user_id", "the user's id"),
}
OUTPUT = {
    "name": "logits",
    "dtype": "float32",
    "shape": ["candidates"],
    "meaning": "log-odds that the user clicks each candidate, in the order of candidates",
    "apply": "the sigmoid: probability = 1 / (1 + exp(-logit)), in float64",
}
ITEM_IDS = "row numbers of the item table that the network was trained on, from 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportManifest:
    """What our own code reads of serving.json.

    inputs    names, in the network's order
    shortest  smallest length of a history: pad shorter ones on the left with 0
    longest   largest length: the last `longest` items of longer histories are read
    items     item ids are smaller than this; users likewise, 0 where they are not read
    """

    inputs: tuple[str, ...]
    output: str
    shortest: int
    longest: int
    items: int
    users: int


def described(serving: ServingNetwork, fit: Mapping[str, Any] | None) -> dict[str, Any]:
    """The content of serving.json."""
    items, users = len(serving.items), 0 if serving.user is None else len(serving.user)
    high = {"history": items, "candidates": items, "user": users}
    inputs = []
    for name in serving.inputs:
        shape, column, meaning = INPUTS[name]
        low = 1 if name in ("history", "candidates") else 0
        one = {"name": name, "dtype": "int64", "shape": [shape]}
        one |= {"range": [low, high.get(name, N_LEVELS) - 1], "column": column, "meaning": meaning}
        if low:
            one["ids"] = ITEM_IDS
        if name == "history":
            one |= {
                "order": "oldest first, the most recent item last",
                "length": [serving.shortest, serving.longest],
                "padding": "0, on the left; it changes no score; pad up to length[0] at least",
                "longer": "than length[1]: keep the last items, as in training",
            }
        inputs.append(one)
    return {
        "model": MODEL,
        "inputs": inputs,
        "output": OUTPUT,
        "candidates_at_once": CANDIDATES_AT_ONCE,
        "fit": dict(fit) if fit else None,
        "example": "python example.py",
    }


def write(folder: Path, serving: ServingNetwork, fit: Mapping[str, Any] | None) -> None:
    text = json.dumps(described(serving, fit), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> ExportManifest:
    """Raises InputError where `folder` holds no serving.json of ours."""
    path = folder / MANIFEST
    content = read_json(path)
    try:
        inputs = {one["name"]: one for one in content["inputs"]}
        history, user = inputs["history"], inputs.get("user", {"range": [0, -1]})
        shortest, longest = history["length"]
        return ExportManifest(
            inputs=tuple(inputs),
            output=content["output"]["name"],
            shortest=int(shortest),
            longest=int(longest),
            items=int(history["range"][1]) + 1,
            users=int(user["range"][1]) + 1,
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path} does not describe an exported network ({error!r}); export it again with"
            " python -m pipeline.90_score --export"
        ) from None
