"""Hidden labels in a ladder, and how often they were looked at.

Nothing is chosen on them. Every table that shows them counts as a look, in

    artifacts/<profile>/hidden_looks.json    folder of 00_data -> looks
"""

import json
from pathlib import Path

import numpy as np
import polars as pl

from features.errors import InputError
from features.slates import slate_numbers
from features.store.atomic import atomic_file
from features.store.store import open_store
from pipeline import graph, source_files
from pipeline.artifacts import spec
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.locks import locked
from pipeline.config.settings import Settings


def refuse_unknown(s: Settings, world: str) -> None:
    """Raise InputError where nobody knows the test labels."""
    if source_files.data(s) is None:
        raise InputError(f"--hidden: world {world} has no hidden labels; leave it out")


class Hidden:
    """The test rows of a world and their hidden labels, in the order of the store.

    label  (N,) 0 and 1
    slate  (N,) int64
    """

    def __init__(self, s: Settings) -> None:
        test = open_store(spec.require(graph.store(s))).test
        labels = pl.read_parquet(source_files.hidden_labels(s), glob=False)
        ids = pl.DataFrame({"ID": np.asarray(test.id)})
        joined = ids.join(labels, on="ID", how="left", maintain_order="left")
        self.label = joined["label"].to_numpy()
        self.slate = slate_numbers(test)


def count_look(s: Settings) -> str:
    """Count a table that shows hidden AUCs; the sentence that says so."""
    path = Path(s.artifacts) / s.profile / "hidden_looks.json"
    world = source_files.data(s).path.name
    with locked(path.with_suffix(".lock"), "hidden_looks.json"):
        looks = read_json(path) if path.exists() else {}
        looks[world] = looks.get(world, 0) + 1
        with atomic_file(path) as scratch:
            scratch.write_text(json.dumps(looks, indent=2) + "\n", encoding="utf-8")
    return (
        f"hidden: nothing is chosen on it. Look {looks[world]} at the hidden labels of {world}"
        f" ({path})."
    )
