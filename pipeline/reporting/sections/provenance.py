"""What made this run: overrides, settings in force, versions, commits."""

from dataclasses import asdict

from models.settings import NetworkSettings
from pipeline.config.redact import without_secrets
from pipeline.config.schema import build
from pipeline.reporting.blocks import Code, Details, Section, Table
from pipeline.reporting.run import Run
from pipeline.reporting.sections.headline import typed

SECTIONS = ("data", "prepare", "folds", "train", "blend")


def section(run: Run) -> Section:
    records = [record for published in run.stages.values() for record in published]
    commits, machines = _values(records, "commit"), _values(records, "machine")
    versions = {name: v for record in records for name, v in record["versions"].items()}
    versions["python"] = ", ".join(_values(records, "python"))
    return Section(
        anchor="provenance",
        title="Settings and versions",
        look_for="what to repeat to get this run again.",
        finding=f"{_plural('Commit', commits)}; {_plural('machine', machines)}.",
        blocks=[
            Code("typed", typed(run, "./run_all.sh")),
            Details("Settings of the run", Table(["setting", "value"], _settings(run))),
            Details("Settings of the networks", Table(["setting", *run.models], _networks(run))),
            Table(["version", ""], sorted(versions.items())),
        ],
    )


def _plural(noun: str, values: list[str]) -> str:
    return f"{noun} {values[0]}" if len(values) == 1 else f"{noun}s {', '.join(values)}"


def _values(records: list[dict], key: str) -> list[str]:
    return sorted({record[key] for record in records})


def _settings(run: Run) -> list[list[str]]:
    s = run.settings
    rows = [["rules", s.rules], ["models", ", ".join(s.models)]]
    for part in SECTIONS:
        leaves = _leaves(asdict(getattr(s, part)))
        rows += [[f"{part}.{key}", _value(value)] for key, value in leaves]
    return [[key, without_secrets(value)] for key, value in rows]


def _networks(run: Run) -> list[list[str]]:
    """A row for each key that some network reads; `-` where one does not."""
    settings = {model: record["settings"]["network"] for (model, _, _), record in run.fits.items()}
    networks = [build(NetworkSettings, settings[model], model, []) for model in run.models]
    read = [{k: v for k, v in _leaves(asdict(n)) if n.reads(k)} for n in networks]
    keys = list(dict.fromkeys(key for values in read for key in values))
    return [[key, *(_value(v[key]) if key in v else "-" for v in read)] for key in keys]


def _leaves(tree: dict, prefix: str = "") -> list[tuple[str, object]]:
    leaves = []
    for key, value in tree.items():
        path = f"{prefix}{key}"
        leaves += _leaves(value, f"{path}.") if isinstance(value, dict) else [(path, value)]
    return leaves


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
