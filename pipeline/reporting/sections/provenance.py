"""What made this run: words, settings in force, versions, commits."""

from dataclasses import asdict

from models.settings import NetworkSettings
from pipeline.config.redact import without_secrets
from pipeline.config.schema import build
from pipeline.reporting.page import Html, Section, folded, join, markup, table
from pipeline.reporting.run import Run

SECTIONS = ("data", "prepare", "folds", "train", "blend")


def section(run: Run) -> Section:
    records = [record for made in run.stages.values() for record in made]
    commits = sorted({record["commit"] for record in records})
    said = f"{_agreed('commit', commits)}; {_agreed('machine', _all(records, 'machine'))}."
    versions = {name: v for record in records for name, v in record["versions"].items()}
    versions["python"] = ", ".join(_all(records, "python"))
    words = " ".join(without_secrets(word) for word in run.settings.arguments)
    return Section(
        title="Settings and versions",
        said=said[0].upper() + said[1:],
        body=join([
            Html(f"<p>Words: <code>{markup(words)}</code></p>"),
            folded("Settings of the run", table(["setting", "value"], _settings(run))),
            folded("Settings of the networks", table(["setting", *run.models], _networks(run))),
            table(["version", ""], sorted(versions.items())),
        ]),
    )  # fmt: skip


def _agreed(what: str, values: list[str]) -> str:
    return f"{what} {values[0]}" if len(values) == 1 else f"{what}s {', '.join(values)}"


def _all(records: list[dict], key: str) -> list[str]:
    return sorted({record[key] for record in records})


def _settings(run: Run) -> list[list[str]]:
    s = run.settings
    rows = [["rules", s.rules], ["models", ", ".join(s.models)]]
    for part in SECTIONS:
        rows += [
            [f"{part}.{key}", _value(value)] for key, value in _leaves(asdict(getattr(s, part)))
        ]
    return [[key, without_secrets(value)] for key, value in rows]


def _networks(run: Run) -> list[list[str]]:
    """A row for each key that some network reads; `-` where one does not."""
    used = {model: record["settings"]["network"] for (model, _, _), record in run.fits.items()}
    networks = [build(NetworkSettings, used[model], model, []) for model in run.models]
    read = [{k: v for k, v in _leaves(asdict(n)) if n.reads(k)} for n in networks]
    keys = list(dict.fromkeys(key for tree in read for key in tree))
    return [[key, *(_value(tree[key]) if key in tree else "-" for tree in read)] for key in keys]


def _leaves(tree: dict, above: str = "") -> list[tuple[str, object]]:
    leaves = []
    for key, value in tree.items():
        path = f"{above}{key}"
        leaves += _leaves(value, f"{path}.") if isinstance(value, dict) else [(path, value)]
    return leaves


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
