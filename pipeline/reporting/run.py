"""What a report is made from: the records and tables of one run, read once.

Hidden test labels are not among them: they reach the report as figures, through `scores.judge`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import logit

from pipeline import graph
from pipeline.artifacts import spec
from pipeline.artifacts.spec import require
from pipeline.blending import predictions
from pipeline.config.settings import Settings
from pipeline.reporting import leaderboard

SHIPPED = "shipped"
CERTAIN = 1e-7  # probabilities closer to 0 or 1 have no finite logit in float32's reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Labelled rows and the logits of models that did not train on them."""

    what: str  # which rows these are, for people
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
    judged: dict  # scores.judge
    blend: dict  # blend.json
    submission: str  # its name on the leaderboard
    manifest: dict  # the submission's
    fits: dict[tuple[str, int, int], dict]  # (model, seed, fold) -> artifact.json
    stages: dict[str, list[dict]]  # stage -> the artifact.json of all that it published
    held: Scored  # out of fold; official valid where there are no folds
    valid: Scored  # official valid, with the score that ships as its only "model"
    board: list[leaderboard.Row]  # of this profile
    tuning: list[dict]  # tune.json, a study each
    probes: list[dict]  # probe.json
    masks: list[dict]  # mask.json

    @property
    def models(self) -> list[str]:
        return list(self.blend["models"])

    @property
    def public(self) -> float | None:
        """This submission's public score, where one is noted."""
        mine = [row for row in self.board if row["submission"] == self.submission]
        return leaderboard.number(mine[0]["public"]) if mine else None


def gather(s: Settings, judged: dict) -> Run:
    """Read the run of `s`; every stage before the report must be done."""
    folder, columns = require(graph.blend(s)), require(graph.features(s))
    blend, submission = _json(folder / "blend.json"), require(graph.submission(s))
    valid, models = pl.read_parquet(folder / "valid.parquet"), list(blend["models"])
    if s.official:
        held = _scored("official valid", valid, columns / "valid.parquet", models)
    else:
        oof = pl.read_parquet(folder / "oof.parquet", columns=["row_id", "label", *models])
        held = _scored("out-of-fold rows", oof, columns / "train.parquet", models)
    probability = valid[predictions.SUBMITTED].clip(CERTAIN, 1 - CERTAIN)
    shipped = valid.with_columns(pl.Series(SHIPPED, logit(probability.to_numpy())))
    optional = graph.optional_results(s)
    return Run(
        settings=s,
        judged=judged,
        blend=blend,
        submission=leaderboard.name_of(submission),
        manifest=_json(submission / "manifest.json"),
        fits={key: spec.record(require(place)) for key, place in graph.fits(s).items()},
        stages=_stages(s),
        held=held,
        valid=_scored("official valid", shipped, columns / "valid.parquet", [SHIPPED]),
        board=leaderboard.rows_of(graph.board(s), s.profile),
        tuning=[_json(path) for path in optional["tune.json"]],
        probes=[_json(path) for path in optional["probe.json"]],
        masks=[_json(path) for path in optional["mask.json"]],
    )


def _scored(what: str, rows: pl.DataFrame, features: Path, models: list[str]) -> Scored:
    described = pl.read_parquet(features, columns=["row_id", "h_length", "i_shows"])
    rows = rows.join(described, on="row_id", how="left", validate="1:1", maintain_order="left")
    return Scored(
        what=what,
        label=rows["label"].to_numpy(),
        logits={model: rows[model].to_numpy() for model in models},
        history=rows["h_length"].cast(pl.Int64).to_numpy(),
        shows=rows["i_shows"].fill_null(0).cast(pl.Int64).to_numpy(),  # null: never shown
    )


def _stages(s: Settings) -> dict[str, list[dict]]:
    """The records of every stage that has been run; the report itself is not done yet."""
    names = [stage for stage in graph.stages(s) if stage != "80_report"]
    stages = {stage: graph.OUTPUTS[stage](s) for stage in names}
    found = {
        stage: [spec.record(place.path) for place in made if place.done]
        for stage, made in stages.items()
    }
    return {stage: records for stage, records in found.items() if records}


def _json(path: Path) -> dict:
    return json.loads(path.read_text())
