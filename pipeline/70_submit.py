"""70_submit: the submitted score as the leaderboard wants it, joined by ID and checked.

reads   artifacts/<profile>/60_blend/; test.parquet of the challenge, for its IDs and their order
writes  submissions/<profile>/<rules>-<hash>/prediction.csv (ID,Task2), submission.zip with it at
        the root, manifest.json (rules, profile, settings, commit, runs, CV, valid)
run     python -m pipeline.70_submit PROFILE [key=value ...]
"""

from pipeline.runtime import signals

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted

import json

import polars as pl

from pipeline import graph
from pipeline.artifacts import provenance
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.blending import predictions
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import builds
from submissions.check import ID, SCORE
from submissions.write import write_submission


@builds(graph.submission)
def work(s: Settings, out: ArtifactWriter) -> dict:
    folder = require(graph.blend(s))
    scores = pl.read_parquet(folder / "test.parquet", glob=False).select(
        ID, pl.col(predictions.SUBMITTED).alias(SCORE)
    )
    checked = write_submission(out.path, scores, graph.challenge_files(s)["test"])
    for warning in checked.warnings:
        print(f"70_submit warning: {warning}")
    manifest = manifest_of(s, json.loads((folder / "blend.json").read_text()))
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return {"rows": checked.rows, "tied": f"{checked.tied:.2%}"}


def manifest_of(s: Settings, blend: dict) -> dict:
    """manifest.json: the settings, fits and AUCs behind a submission."""
    submitted = blend["blenders"][blend["chosen"]]
    models = submitted["models"]
    runs = [fit.path.name for key, fit in graph.fits(s).items() if key[0] in models]
    external = blend.get("external")
    return {
        "rules": s.rules,
        "profile": s.profile,
        "overrides": list(s.overrides),
        "settings_hash": graph.blend(s).hash,
        "commit": provenance.commit(),
        "blend": blend["chosen"],
        "chosen_by": blend["chosen_by"],
        "weights": submitted.get("weights", submitted.get("file")),
        "runs": runs,
        "tuned": list(s.tuned),  # networks whose settings were chosen on the rows of cv or valid
        "external": external,  # where there is one, cv and valid of the mixture are unknown
        "cv": None if external else submitted.get("cv"),
        "valid": None if external else submitted["valid"],
    }


if __name__ == "__main__":
    cli.stage(__doc__, work)
