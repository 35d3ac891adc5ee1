"""The artifact of 80_report: which results of a run it is made from."""

from collections.abc import Mapping
from pathlib import Path

from features.store.hashing import sha256
from pipeline import graph
from pipeline.artifacts.spec import ArtifactSpec, digest, record
from pipeline.config.settings import Settings
from pipeline.source_files import hidden_labels

OPTIONAL_RESULTS = ("probe.json", "mask.json", "tune.json")  # of stages that a run may leave out


def report(s: Settings, public_scores: Mapping[str, str]) -> ArtifactSpec:
    """80_report. `public_scores` are those of the leaderboard's file, by submission."""
    made_from = graph.features(s), graph.blend(s), graph.submission(s)
    inputs = {spec.stage: digest(spec) for spec in made_from}
    folders = [path.parent for paths in optional_results(s).values() for path in paths]
    inputs |= {folder.name: record(folder)["digest"] for folder in folders}
    hidden = hidden_labels(s)
    if hidden is not None:
        inputs["hidden_labels"] = sha256(hidden)
    settings = {"tuned": s.tune.models} if s.train.settings == "tuned" else {}
    folder = Path(s.artifacts) / s.profile / "80_report"
    return ArtifactSpec("80_report", "report", folder, settings, {**inputs, **public_scores})


def optional_results(s: Settings) -> dict[str, list[Path]]:
    """The results about this run of stages that a run may leave out, by file name.

    A file counts if its artifact was made from artifacts of this run alone; of probe.json and
    mask.json this run's own, not one of a run with fewer networks.
    """
    own = {"probe.json": graph.probe(s).path, "mask.json": graph.mask(s).path}
    read = graph.training_inputs(s, graph.possible(s))
    inputs = {name: digest(spec) for name, spec in read.items()} | {
        spec.name: digest(spec)
        for spec in (*graph.fits(s).values(), graph.features(s), graph.blend(s))
    }
    profile = Path(s.artifacts) / s.profile
    return {
        name: [
            path
            for path in sorted(profile.glob(f"*/[!.]*/{name}"))
            if path.parent == own.get(name, path.parent) and _made_from(path.parent, inputs)
        ]
        for name in OPTIONAL_RESULTS
    }


def _made_from(folder: Path, inputs: Mapping[str, str]) -> bool:
    """Whether the artifact in `folder` has no inputs but some of `inputs`."""
    try:
        return bool(record(folder)["inputs"].items() <= inputs.items())
    except (OSError, ValueError, KeyError):  # damaged, or of an older version
        return False
