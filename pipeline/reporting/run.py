"""What a report is made from: the records and tables of one run, read once.

The hidden test labels are not among them: their scores reach the report in scores.json.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipeline import graph, source_files
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import record, require
from pipeline.blending.predictions import SUBMITTED
from pipeline.config.settings import Settings
from pipeline.graph import FitKey
from pipeline.reporting import leaderboard
from pipeline.reporting.previous import Previous, previous
from pipeline.reporting.within_slates import log_odds
from pipeline.runs import board
from pipeline.runs.find import made
from pipeline.runs.report import optional_results

SUBMISSION = "submission"  # the "model" whose logits are those of the submitted probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRows:
    """Labelled rows and the logits of models that did not train on them."""

    name: str  # which rows these are, for people
    label: np.ndarray  # (N,) uint8
    logits: dict[str, np.ndarray]  # model -> (N,) float64
    history: np.ndarray  # (N,) int64, items in the user's history
    shows: np.ndarray  # (N,) int64, train rows of other folds with the same target item

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, finished up to its submission."""

    settings: Settings
    scores: dict  # scores.json
    blend: dict  # blend.json
    submission: str  # its name on the leaderboard
    manifest: dict  # the submission's
    zip: str  # path of the file to upload
    made: datetime.datetime  # when the submission was written
    previous: Previous | None  # the run before this one on the same data
    fits: dict[FitKey, dict]  # artifact.json of each
    stages: dict[str, list[dict]]  # stage -> artifact.json of each artifact it published
    held_out: ScoredRows  # out of fold; official valid where there are no folds
    valid: ScoredRows  # official valid, scored by SUBMISSION alone
    leaderboard: list[dict]  # the rows of this profile on these data
    studies: list[dict]  # tune.json of each study
    probes: list[dict]  # probe.json
    masks: list[dict]  # mask.json

    @property
    def models(self) -> list[str]:
        return list(self.blend["models"])

    @property
    def public(self) -> float | None:
        """This submission's public score, if it has been noted."""
        rows = [row for row in self.leaderboard if row["submission"] == self.submission]
        return rows[0]["public"] if rows else None


def gather(s: Settings, scores: dict) -> Run:
    """Read the run of `s`; every stage before the report must be done."""
    folder, features = require(graph.blend(s)), require(graph.features(s))
    blend, submission = read_json(folder / "blend.json"), require(graph.submission(s))
    valid, models = pl.read_parquet(folder / "valid.parquet", glob=False), list(blend["models"])
    if s.official:
        held_out = _scored("official valid", valid, features / "valid.parquet", models)
    else:
        oof = pl.read_parquet(
            folder / "oof.parquet", columns=["row_id", "label", *models], glob=False
        )
        held_out = _scored("out-of-fold rows", oof, features / "train.parquet", models)
    submitted = valid.with_columns(pl.Series(SUBMISSION, log_odds(valid[SUBMITTED].to_numpy())))
    optional = optional_results(s)
    return Run(
        settings=s,
        scores=scores,
        blend=blend,
        submission=leaderboard.name_of(submission),
        manifest=read_json(submission / "manifest.json"),
        zip=str(submission / "submission.zip"),
        made=made(submission, record(submission)),
        previous=previous(s, submission),
        fits={key: record(require(spec)) for key, spec in graph.fits(s).items()},
        stages=_stages(s),
        held_out=held_out,
        valid=_scored("official valid", submitted, features / "valid.parquet", [SUBMISSION]),
        leaderboard=board.of_data(graph.board(s), s.profile, source_files.data_hash(s)).to_dicts(),
        studies=[read_json(path) for path in optional["tune.json"]],
        probes=[read_json(path) for path in optional["probe.json"]],
        masks=[read_json(path) for path in optional["mask.json"]],
    )


def _scored(name: str, rows: pl.DataFrame, features: Path, models: list[str]) -> ScoredRows:
    columns = pl.read_parquet(features, columns=["row_id", "h_length", "i_shows"], glob=False)
    rows = rows.join(columns, on="row_id", how="left", validate="1:1", maintain_order="left")
    return ScoredRows(
        name=name,
        label=rows["label"].to_numpy(),
        logits={model: rows[model].to_numpy() for model in models},
        history=rows["h_length"].cast(pl.Int64).to_numpy(),
        shows=rows["i_shows"].fill_null(0).cast(pl.Int64).to_numpy(),  # null: never shown
    )


def _stages(s: Settings) -> dict[str, list[dict]]:
    """The records of every stage that has been run, but for the report itself."""
    names = [stage for stage in graph.stages(s) if stage != "80_report"]
    records = {
        stage: [record(spec.path) for spec in graph.OUTPUTS[stage](s) if spec.done]
        for stage in names
    }
    return {stage: published for stage, published in records.items() if published}
