"""What a run is made from: the results in artifacts/ that its records name by their digest."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD
from pipeline.runs.find import FinishedRun

SUBMISSION = "70_submit"  # among the inputs of a report
COMPARED = ("10_prepare", "50_train", "60_blend")  # stages whose results a comparison reads
KEYS = ("settings", "inputs", "files", "digest")  # of a record that names what it was made from


@dataclass(frozen=True, slots=True)
class Result:
    """A finished artifact: artifacts/<profile>/<stage>/<name>-<hash>/."""

    path: Path
    record: dict[str, Any]  # artifact.json

    @property
    def stage(self) -> str:
        return self.path.parent.name


Index = Mapping[str, list[Result]]  # sha256 -> what has it: as digest, or in 00_data as a file


def results(profile: Path) -> list[Result]:
    """All finished results in artifacts/<profile>/.

    One whose record is damaged, or of an older version, counts as missing: a run makes it again.
    """
    paths = sorted(profile.glob(f"[!.]*/[!.]*/{RECORD}"))
    found = [(path.parent, readable_record(path.parent)) for path in paths]
    return [Result(folder, record) for folder, record in found if record is not None]


def readable_record(folder: Path) -> dict[str, Any] | None:
    """The record of the result in `folder`; None where it is damaged, or of an older version."""
    try:
        record = read_json(folder / RECORD)
    except InputError:
        return None
    return record if all(name in record for name in KEYS) else None


def index(found: Iterable[Result]) -> Index:
    """`found` by what the records of later stages call them."""
    by_sha256: defaultdict[str, list[Result]] = defaultdict(list)
    for result in found:
        by_sha256[result.record["digest"]].append(result)
        if result.stage == "00_data":  # the store's record names files of it
            for one in result.record["files"].values():
                by_sha256[one].append(result)
    return dict(by_sha256)


def made_from(record: Mapping[str, Any], by_sha256: Index) -> dict[str, Result]:
    """The results that a record names, by the record's own names; what is gone is left out.

    Results of one digest hold equal bytes: the first stands for all.
    """
    named = record["inputs"].items()
    return {name: by_sha256[sha256][0] for name, sha256 in named if sha256 in by_sha256}


def needed(run: FinishedRun, by_sha256: Index) -> list[Result]:
    """All results of a run, its reports among them, each once; see `by_stage`."""
    reports = [
        result
        for same in by_sha256.values()
        for result in same
        if result.record["inputs"].get(SUBMISSION) == run.record["digest"]
    ]
    found = {result.path: result for result in reports}
    todo = [run.record, *(report.record for report in reports)]
    while todo:
        for sha256 in todo.pop()["inputs"].values():
            for result in by_sha256.get(sha256, ()):
                if result.path not in found:
                    found[result.path] = result
                    todo.append(result.record)
    return list(found.values())


def of_run(run: FinishedRun, artifacts: Path) -> dict[str, list[Result]]:
    """The results of a run in `artifacts`, by stage."""
    return by_stage(needed(run, index(results(artifacts / run.profile))))


def by_stage(found: Iterable[Result]) -> dict[str, list[Result]]:
    """`found` by stage, in the order of the stages."""
    stages: defaultdict[str, list[Result]] = defaultdict(list)
    for result in sorted(found, key=lambda result: result.path):
        stages[result.stage].append(result)
    return dict(sorted(stages.items()))
