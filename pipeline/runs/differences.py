"""What differs between two runs: their settings, as their results record them, and their data."""

from collections.abc import Mapping
from typing import Any

from pipeline.config.tables import flat
from pipeline.runs.results import Result

SECTIONS = {"00_data": "data.", "10_prepare": "prepare.", "20_folds": "folds."}
RUN_WIDE = ("models", "rules")  # settings of the blend that belong to the whole run
MADE_BY = ("commit", "python", "machine")  # what may differ though settings are equal


def settings(stages: Mapping[str, list[Result]]) -> dict[str, Any]:
    """The settings of a run by their full key, as the records of its results hold them.

    `stages` are its results by stage. External predictions stand for themselves by their sha256.
    """
    found: dict[str, Any] = {}
    for stage, start in SECTIONS.items():
        for result in stages.get(stage, []):
            found |= flat(result.record["settings"], start)
            if stage == "00_data":
                found["data.source"] = result.path.name.rpartition("-")[0]
    seeds: set[int | None] = set()
    for fit in stages.get("50_train", []):
        model = fit.path.name.partition("-seed")[0]
        written = dict(fit.record["settings"])
        seeds.add(written.pop("seed", None))
        written.pop("fold", None)
        found |= flat(written.pop("network", {}), f"{model}.") | flat(written, "train.")
    found["train.seeds"] = sorted(seed for seed in seeds if seed is not None)
    for blend in stages.get("60_blend", []):
        for name, value in blend.record["settings"].items():
            found[name if name in RUN_WIDE else f"blend.{name}"] = value
        external = blend.record["inputs"].get("external")
        found |= {"blend.external": f"sha256 {external[:8]}"} if external else {}
    return found


def of_both(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of both, without those of networks that one of them lacks: see `models`."""
    alone = {*a.get("models", ())} ^ {*b.get("models", ())}
    first, second = (
        {key: value for key, value in one.items() if key.partition(".")[0] not in alone}
        for one in (a, b)
    )
    return first, second


def made_by(stages: Mapping[str, list[Result]]) -> dict[str, Any]:
    """Code, machine and versions that made the fits and the blend; several where they differ."""
    records = [result.record for stage in ("50_train", "60_blend") for result in stages[stage]]
    flat_records = [
        {name: record.get(name, "-") for name in MADE_BY}
        | flat(record.get("versions", {}), "versions.")
        for record in records
    ]
    names = {name: None for record in flat_records for name in record}
    return {
        name: ", ".join(sorted({str(record.get(name, "-")) for record in flat_records}))
        for name in names
    }


def files(stages: Mapping[str, list[Result]]) -> dict[str, str]:
    """The sha256 of the files that the run's store was made from."""
    (store,) = stages["10_prepare"][:1]
    return dict(store.record["inputs"])


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys with different values, sorted, each with both; "-" where one has none."""
    pairs = {name: (a.get(name, "-"), b.get(name, "-")) for name in sorted({*a, *b})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
