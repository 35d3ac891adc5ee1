"""Finished runs that trained nothing: folders and records as the stages write them."""

import json
import re
from pathlib import Path

from pipeline.artifacts.spec import RECORD, ArtifactSpec, digest, record
from pipeline.artifacts.store import write_artifact


class SmallRuns:
    """A world in `folder`, and runs on it, each with a fit, a blend, a submission, a report."""

    @classmethod
    def at(cls, folder: Path) -> "SmallRuns":
        """The runs that are in `folder`, without a world for more of them."""
        there = cls.__new__(cls)
        there.artifacts, there.submissions = folder / "artifacts", folder / "submissions"
        return there

    def __init__(self, folder: Path, profile: str = "sample", train: str = "t") -> None:
        self.artifacts, self.submissions = folder / "artifacts", folder / "submissions"
        self.profile = profile
        files = {"challenge/train.parquet": train, "challenge/valid.parquet": train}
        written = record(self.write("00_data", "sample", {"users": 3}, {}, files).path)["files"]
        inputs = {name: written[f"challenge/{name}.parquet"] for name in ("train", "valid")}
        self.store = self.write("10_prepare", "store", {"codes": 0}, inputs, {"a.npy": "store"})
        self.folds = self.write("20_folds", "kfold2", {"n": 2}, self.store, {"folds": "folds"})
        rows = {"store": digest(self.store), "folds": digest(self.folds)}
        self.rows = rows
        self.features = self.write("30_features", "features", {}, rows, {"f": "features"})

    def age(self, number: int) -> None:
        """Let everything that has no such time yet be of day `number` of 2020."""
        for path in (*self.artifacts.rglob(RECORD), *self.submissions.rglob(RECORD)):
            text = path.read_text()
            if '"made": "2020-' not in text:
                day = f'"made": "2020-01-{number + 1:02}T00:00:00+00:00"'
                path.write_text(re.sub(r'"made": "[^"]*"', day, text))

    def write(self, stage, name, settings, inputs, files) -> ArtifactSpec:
        """Write an artifact; `inputs` are digests, or another artifact."""
        if isinstance(inputs, ArtifactSpec):
            inputs = {"store": digest(inputs)}
        folder = (self.submissions if stage == "70_submit" else self.artifacts) / self.profile
        folder = folder if stage == "70_submit" else folder / stage
        spec = ArtifactSpec(stage, name, folder, settings, inputs)
        with write_artifact(spec) as out:
            for file, content in files.items():
                (out / file).parent.mkdir(parents=True, exist_ok=True)
                (out / file).write_text(content)
        return spec

    def run(self, rate: float, **manifest) -> Path:
        """A run whose network learns at `rate`; returns its submission's folder."""
        network = {"network": {"fit": {"learning_rate": rate}}, "seed": 0, "fold": 0}
        fit = self.write(
            "50_train", "din-seed0-fold0", network, self.rows, {"model.pt": f"{rate}" * 100}
        )
        inputs = {fit.name: digest(fit)}
        mask = self.write("55_mask", "mask", {}, inputs | self.rows, {"mask.json": f"mask {rate}"})
        inputs |= self.rows | {"features": digest(self.features)}
        blend = self.write(
            "60_blend", "blend", {"rules": "research"}, inputs, {"blend.json": f"blend {rate}"}
        )
        manifest = {"typed": f"./run_all.sh sample rate={rate}", "data": "3f2a1b9c"} | manifest
        manifest |= {"profile": self.profile, "rules": "research", "cv": 0.8, "valid": 0.7}
        submission = self.write(
            "70_submit", "research", {"profile": self.profile}, {"blend": digest(blend)},
            {"manifest.json": json.dumps(manifest), "submission.zip": f"zip {rate}"},
        )  # fmt: skip
        inputs = {spec.stage: digest(spec) for spec in (self.features, blend, submission)}
        self.write(
            "80_report", "report", {}, inputs | {mask.path.name: digest(mask)},
            {"report.html": f"report {rate}"},
        )  # fmt: skip
        return submission.path
