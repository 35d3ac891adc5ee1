"""70_submit: the submitted score as the leaderboard wants it, joined by ID and
checked.

reads   artifacts/<profile>/60_blend/; test.parquet of the challenge, for its
        IDs and their order; the fits' learning curves, where official valid
        chose the epochs
writes  submissions/<profile>/<rules>-<hash>/prediction.csv (ID,Task2),
        submission.zip with it at the root, manifest.json (the run's name, what
        was typed, its data, rules, profile, commit, fits, CV, valid, whether
        it used slates, what a test set like official valid would give, see
        cv/forecast.py, and the artifacts that it was made from, by their paths
        from its own folder)
run     python -m pipeline.70_submit PROFILE [key=value ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import json
import os
import shlex
from pathlib import Path
from statistics import fmean

import polars as pl

from pipeline import graph, source_files
from pipeline.artifacts import provenance
from pipeline.artifacts.spec import ArtifactSpec, record, require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.blending import predictions
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import builds
from pipeline.training import health
from submissions.table import ID, SCORE
from submissions.write import write_submission

WHOLE_SLATES = (
    "whole slates: a score depends on all rows of equal user and history (90_score scores the rows"
    " of one network one by one)"
)


@builds(graph.submission)
def work(s: Settings, out: ArtifactWriter) -> dict:
    folder = require(graph.blend(s))
    scores = pl.read_parquet(folder / "test.parquet", glob=False).select(
        ID, pl.col(predictions.SUBMITTED).alias(SCORE)
    )
    checked = write_submission(out.path, scores, graph.challenge_files(s)["test"])
    for warning in checked.warnings:
        print(f"70_submit warning: {warning}")
    blend = json.loads((folder / "blend.json").read_text(encoding="utf-8"))
    manifest = manifest_of(s, blend) | {"forecast": forecast_of(s, folder, blend)}
    manifest["artifacts"] = artifacts_of(s, graph.submission(s).path.parent)
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return {"rows": checked.rows, "tied": f"{checked.tied:.2%}"}


def manifest_of(s: Settings, blend: dict) -> dict:
    """manifest.json: the settings, fits and AUCs behind a submission."""
    submitted = blend["blenders"][blend["chosen"]]
    models = submitted["models"]
    runs = [fit.path.name for key, fit in graph.fits(s).items() if key[0] in models]
    external = blend.get("external")
    return {
        "run": graph.submission(s).path.name,
        "typed": shlex.join(["./run_all.sh", *s.arguments]),
        "data": source_files.data_hash(s),
        "rules": s.rules,
        "profile": s.profile,
        "overrides": list(s.overrides),
        "settings_hash": graph.blend(s).hash,
        "commit": provenance.commit(),
        "blend": blend["chosen"],
        "chosen_by": blend["chosen_by"],
        "weights": submitted.get("weights", submitted.get("file")),
        "slates": blend["uses_slates"],  # rows of equal user and history
        "without_slates": without_slates(blend),
        "needs": WHOLE_SLATES if blend["uses_slates"] else None,
        "runs": runs,
        "warnings": [str(found) for found in health.of_run(s) if found.fit[0] in models],
        "prefix_rows": prefix_rows(s, models),  # of prefixes, among those that fits were trained on
        "tuned": list(s.tuned),  # networks whose settings were chosen on the rows of cv or valid
        "external": external,  # where there is one, cv and valid of the mixture are unknown
        "cv": None if external else submitted.get("cv"),
        "valid": None if external else submitted["valid"],
    }


def prefix_rows(s: Settings, models: list[str]) -> dict[str, str]:
    """By fit of `models`: how many of its train rows are prefixes of histories, where any is."""
    reports = {
        fit.path.name: record(require(fit))["report"]
        for key, fit in graph.fits(s).items()
        if key[0] in models
    }
    return {
        name: f"{report['prefix_rows']} of {report['rows']}"
        for name, report in reports.items()
        if report.get("prefix_rows")
    }


def artifacts_of(s: Settings, folder: Path) -> dict:
    """What 90_score --run applies: paths from the submission, which lies in `folder`.

    So the folders of artifacts and of submissions may move together, or lie in another place.
    """

    def place(spec: ArtifactSpec) -> str:
        return os.path.join("..", os.path.relpath(spec.path.resolve(), folder.resolve()))

    single = {"store": graph.store(s), "folds": graph.folds(s), "blend": graph.blend(s)}
    if not s.official or any(network.columns for network in graph.networks(s).values()):
        single["features"] = graph.features(s)
    fits = [
        {"model": model, "seed": seed, "fold": fold, "path": place(spec)}
        for (model, seed, fold), spec in graph.fits(s).items()
    ]
    return {name: place(spec) for name, spec in single.items()} | {"fits": fits}


def forecast_of(s: Settings, folder: Path, blend: dict) -> dict | None:
    """The forecast of the submitted score; None where a file that nothing validated is in it."""
    if "external" in blend:
        return None
    from cv.forecast import forecast  # torch: --help does without it

    valid = pl.read_parquet(folder / "valid.parquet", glob=False)
    users = pl.read_parquet(folder / "test.parquet", columns=["user_id"], glob=False)
    label, score, user = (
        valid[name].to_numpy() for name in ("label", predictions.SUBMITTED, "user_id")
    )
    choices = choices_of(s, blend) if s.official else []
    return forecast(label, score, user, users["user_id"].n_unique(), choices)._asdict()


def choices_of(s: Settings, blend: dict) -> list[list[float]]:
    """AUCs on official valid of what it chose among: the networks, then the epochs of the best one.

    Of the epochs, the best and the better of those beside it count: the others are no rivals. With
    several seeds these are means over the seeds' fits.
    """
    models = blend["blenders"][blend["chosen"]]["models"]
    curves = [
        [epoch["score"] for epoch in record(require(fit))["report"]["epochs"]]
        for key, fit in graph.fits(s).items()
        if key[0] in models
    ]
    rivals = [_best_and_rival(curve) for curve in curves]
    epochs = [fmean(column) for column in zip(*rivals, strict=True)]
    return [[model["valid"] for model in blend["models"].values()], epochs]


def _best_and_rival(curve: list[float]) -> tuple[float, float]:
    """The highest AUC and the higher of those beside it; itself again where it stands alone."""
    best = curve.index(max(curve))
    beside = curve[max(best - 1, 0) : best] + curve[best + 1 : best + 2]
    return curve[best], max(beside, default=curve[best])


def without_slates(blend: dict) -> dict | None:
    """The blend that would be submitted without slates; None where none are used."""
    if not blend["uses_slates"]:
        return None
    name = blend["without_slates"]
    figures = blend["blenders"][name]
    return {"blend": name, "cv": figures["cv"], "valid": figures["valid"]}


if __name__ == "__main__":
    cli.stage(__doc__, work)
