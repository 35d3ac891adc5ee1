"""Tiny valid worlds in the challenge's schema, and runs of all stages on them in this process."""

import warnings
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.store.schema import SPLITS
from pipeline import graph
from pipeline.config.load import load
from pipeline.inference import score_rows, score_run
from tests.helpers.scoring import of_run
from tests.helpers.worlds import lists

NETWORK = [
    "network.embedding_dim=4", "network.content_dim=4", "network.fit.max_epochs=2",
    "network.fit.batch_size=64", "train.backend=serial", "train.device=cpu",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TinyWorld:
    """What a valid world may look like; every field is one way to be extreme.

    users      of train, valid and test
    rows       of each user, one of them clicked where there are two or more
    items      real ones, from id 1; histories and targets are drawn from them
    width      of the history lists
    padded     whether they are padded to it, or as long as the histories
    first_user id of the first user of train
    histories  which users have one: all, none, or every other one; by split where it is a tuple
    tags       drawn, one (every item has this one) or none
    levels     drawn, or the one level of every row and item
    content    drawn, equal (every item has this vector) or zero
    feature    whether item_feature.parquet is there
    """

    users: tuple[int, int, int] = (24, 8, 8)
    rows: int = 4
    items: int = 12
    width: int = 4
    padded: bool = True
    first_user: int = 1
    histories: tuple[str, str, str] = ("all", "all", "all")
    tags: str = "drawn"
    levels: int | None = None
    content: str = "drawn"
    feature: bool = True
    seed: int = 0

    def write(self, folder: Path) -> Path:
        """Write the challenge's files of this world."""
        rng = np.random.default_rng(self.seed)
        folder.mkdir(parents=True)
        first_user = self.first_user
        for name, users, histories in zip(SPLITS, self.users, self.histories, strict=True):
            table = self._split(rng, first_user, users, histories)
            if name == "test":
                del table["label"]
                table["ID"] = pa.array(np.arange(users * self.rows))
            pq.write_table(pa.table(table), folder / f"{name}.parquet")
            first_user += users
        for name, table in self._item_tables(rng).items():
            pq.write_table(pa.table(table), folder / f"{name}.parquet")
        return folder

    def _split(self, rng: np.random.Generator, first: int, users: int, histories: str) -> dict:
        seen = rng.integers(1, self.items + 1, (users, self.width))
        seen[np.arange(self.width) < rng.integers(0, self.width, users)[:, None]] = 0
        if histories != "all":
            seen[:: 1 if histories == "none" else 2] = 0
        user = np.repeat(np.arange(users), self.rows)
        padded = lists(seen[user], pa.int32())
        real = pa.array([row[row > 0] for row in seen[user]], pa.list_(pa.int32()))
        n = len(user)
        row = np.arange(n)
        clicked = row % self.rows == user % self.rows if self.rows > 1 else row % 3 == 0
        return {
            "user_id": pa.array(first + user),
            "item_seq": padded if self.padded else real,
            "item_id": pa.array(rng.integers(1, self.items + 1, n)),
            "likes_level": pa.array(self._levels(rng, n)),
            "views_level": pa.array(self._levels(rng, n)),
            "label": pa.array(clicked.astype(np.int64)),
        }

    def _levels(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.integers(0, 11, n) if self.levels is None else np.full(n, self.levels)

    def _item_tables(self, rng: np.random.Generator) -> dict[str, dict]:
        n = self.items + 1
        tags = np.sort(rng.integers(0, 9, (n, 5)), axis=1)
        content = rng.normal(size=(n, 128)).astype(np.float32)
        if self.tags != "drawn":
            tags[:] = [0, 0, 0, 0, int(self.tags == "one")]
        if self.content != "drawn":
            content[:] = float(self.content == "equal")
        tags[0], content[0] = 0, 0
        ids = np.arange(n)
        info = {
            "item_id": pa.array(ids),
            "item_tags": lists(tags, pa.int64()),
            "item_emb_d128": lists(content, pa.float32()),
        }
        feature = {
            "item_id": pa.array(ids[1:]),
            "likes_level": pa.array(self._levels(rng, n - 1)),
            "views_level": pa.array(self._levels(rng, n - 1)),
        }
        return {"item_info": info} | ({"item_feature": feature} if self.feature else {})


def run_all(folder: Path, files: Path, overrides: list[str], tally: Counter) -> None:
    """Run every stage on the files; a warning of a library is an error. Stages are counted.

    Then 90_score --run must write the bytes of the submission.
    """
    settings = load(
        "challenge",
        [
            f"data.dir={files}",
            f"artifacts={folder}/artifacts",
            f"submissions={folder}/submissions",
            *NETWORK,
            *overrides,
        ],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for stage in graph.stages(settings):
            import_module(f"pipeline.{stage}").work(settings, False)
            tally["stages"] += 1
        submission, again = graph.submission(settings).path, folder / "again.csv"
        score_rows.write(score_run.run(of_run(submission, files / "test.parquet")), again)
        assert again.read_bytes() == (submission / "prediction.csv").read_bytes()
