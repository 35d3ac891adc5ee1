"""docs/configuration.md: introduction.md, then tables made from the schema of settings.

run  python -m pipeline.config.document    after a setting was added, changed or explained better
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from models.settings import NetworkSettings
from pipeline.config import paths
from pipeline.config.listing import data_source, shown
from pipeline.config.load import RENAMED
from pipeline.config.schema import MISSING, Setting, settings_of
from pipeline.config.settings import DATA_SETTINGS, RunSettings

PAGE = paths.REPOSITORY / "docs" / "configuration.md"
INTRODUCTION = Path(__file__).with_name("introduction.md")
NETWORK = """## Networks

`network.<key>` sets every network of the run, `<name>.<key>` one of them, such as
`qin.fit.learning_rate`. Each network reads the sections of its two parts and `fit`. The defaults
below are those of the code, which `models/<name>.toml` replaces.
"""
SECTIONS = {
    "prepare": "The item table: `prepare`",
    "folds": "Held-out rows: `folds`",
    "train": "Fits: `train`",
    "tune": "Search for better settings: `tune`",
    "blend": "Blending: `blend`",
}


def text() -> str:
    """The whole page."""
    run = settings_of(RunSettings)
    parts = [
        INTRODUCTION.read_text(encoding="utf-8"),
        "## The run\n",
        table(s for key, s in run.items() if "." not in key),
    ]
    parts += ["## Data: `data`\n", table([data_source()])]
    for name, cls in DATA_SETTINGS.items():
        title = f'`data.source = "{name}"`: {_about(cls)}\n'
        parts += [title, table(settings_of(cls).values(), "data.")]
    for section, title in SECTIONS.items():
        parts += [f"## {title}\n", table(_below(section, run))]
    declared = settings_of(NetworkSettings)
    parts += [NETWORK, table(s for key, s in declared.items() if "." not in key)]
    sections: dict[str, Any] = {field.name: field.type for field in fields(NetworkSettings)}
    for section in dict.fromkeys(key.partition(".")[0] for key in declared if "." in key):
        parts += [
            f"### `{section}`\n",
            f"{_about(sections[section])}\n",
            table(_below(section, declared)),
        ]
    parts += ["## Renamed keys\n", "The old key is refused with its new name.\n"]
    parts.append("| was | is |\n| --- | --- |\n" + _rows(RENAMED))
    return "\n".join(parts)


def table(settings: Iterable[Setting], above: str = "") -> str:
    lines = ["| key | values | default | meaning |", "| --- | --- | --- | --- |"]
    for setting in settings:
        default = "must be set" if setting.default is MISSING else f"`{shown(setting.default)}`"
        cells = (f"`{above}{setting.key}`", _values(setting), default, setting.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _about(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split())


def _values(setting: Setting) -> str:
    if setting.choices and not setting.is_list:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    return setting.expected.removeprefix("a ")


def _below(section: str, settings: Mapping[str, Setting]) -> list[Setting]:
    return [setting for key, setting in settings.items() if key.startswith(f"{section}.")]


def _rows(renamed: Mapping[str, str]) -> str:
    return "".join(f"| `{old}` | `{new}` |\n" for old, new in renamed.items())


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(paths.REPOSITORY)}")
