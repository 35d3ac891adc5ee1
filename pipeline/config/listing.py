"""What `./run_all.sh PROFILE [key=value ...] --settings [PREFIX]` prints: every setting of the run.

On a terminal a setting is a block: key, value and source, then what it may be and means. In a pipe
or a file it is one line of four columns between tabs, for grep.
"""

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from features.errors import InputError
from models.settings import NetworkSettings
from pipeline.config import search_space
from pipeline.config.load import load_with_sources
from pipeline.config.nearest import near_key
from pipeline.config.networks import ALL, DEFAULT, Source
from pipeline.config.redact import without_secrets
from pipeline.config.schema import Setting, settings_of
from pipeline.config.settings import DATA_SETTINGS, RunSettings, Settings
from pipeline.config.tables import flat

STUDY = Source("study", "40_tune")
UNFINISHED = "(not known before 40_tune has finished)"
INDENT = "    "


class Line(NamedTuple):
    """A setting of a run: its full key, value in force and source, and its declaration."""

    key: str
    value: Any
    source: Source
    setting: Setting


def text(
    settings: Settings,
    prefix: str = "",
    studied: Mapping[str, NetworkSettings | None] | None = None,
    width: int | None = None,
) -> str:
    """The settings whose key is `prefix` or lies in that section.

    studied  by network, what its study has found, or None where that is not finished
    width    of a terminal; None: one line each
    Raises InputError where no setting begins with `prefix`.
    """
    lines = list(lines_of(settings, studied or {}))
    chosen = [line for line in lines if _in(line.key, prefix, settings)]
    if not chosen:
        raise InputError(_unknown(prefix, settings, lines))
    if width is None:
        return "\n".join(map(_one_line, chosen))
    lengths = [len(_assignment(line)) for line in chosen]
    left = max((length for length in lengths if length <= width // 2), default=0)
    return "\n".join(_block(line, left, width) for line in chosen)


def lines_of(settings: Settings, studied: Mapping[str, NetworkSettings | None]) -> Iterator[Line]:
    """Every setting that the run reads; those of parts that a network lacks are left out."""
    _, sources = load_with_sources(settings.profile_argument, list(settings.overrides))

    def line(key: str, value: Any, setting: Setting) -> Line:
        source = sources[key].source if key in sources else DEFAULT
        return Line(key, value, source, setting)

    run = flat(dataclasses.asdict(settings))
    for key, setting in settings_of(RunSettings).items():
        yield line(key, run[key], setting)
    yield line("data.source", sources["data.source"].value, data_source())
    source: type = type(settings.data)
    for key, setting in settings_of(source).items():
        yield line(f"data.{key}", run[f"data.{key}"], setting)
    for name in settings.models:
        network = studied.get(name) or settings.networks[name]
        searched = search_space.load(name, settings.networks[name]) if name in studied else {}
        values = flat(dataclasses.asdict(network))
        for key, setting in settings_of(NetworkSettings).items():
            if not network.reads(key):
                continue
            found = line(f"{name}.{key}", values[key], setting)
            if key in searched:
                value = UNFINISHED if studied[name] is None else values[key]
                found = found._replace(value=value, source=STUDY)
            yield found


def data_source() -> Setting:
    """data.source, which no dataclass declares: it says which of them the other keys belong to."""
    return Setting(
        key="data.source",
        kind=str,
        default=dataclasses.MISSING,
        choices=tuple(DATA_SETTINGS),
        meaning="Where the data come from: a generated world, a public MicroLens release that is"
        " converted, or a folder in the challenge's schema.",
    )


def shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "[]"
    return without_secrets(str(value)) or '""'


def _in(key: str, prefix: str, settings: Settings) -> bool:
    """Whether `key` is `prefix` or lies in it; `network` stands for every network."""
    section, _, rest = key.partition(".")
    names = [key, f"{ALL}.{rest}"] if section in settings.networks else [key]
    return not prefix or any(n == prefix or n.startswith(f"{prefix}.") for n in names)


def _unknown(prefix: str, settings: Settings, lines: list[Line]) -> str:
    name, _, key = prefix.partition(".")
    declared = settings_of(NetworkSettings)
    network = settings.networks.get(name)
    if network is not None and any(k == key or k.startswith(f"{key}.") for k in declared):
        return f"--settings {prefix}: not read, the parts of {name} are {network.parts}"
    if name == "data" and any(key in settings_of(cls) for cls in DATA_SETTINGS.values()):
        source = next(line.value for line in lines if line.key == "data.source")
        return f"--settings {prefix}: not read with data.source={source}"
    known = [line.key for line in lines] + [f"{ALL}.{key}" for key in declared]
    sections = {key.rpartition(".")[0] for key in known} | {key.split(".")[0] for key in known}
    offered = sorted({*known, *sections} - {""})
    if not key:  # `network` stands for every network
        offered = [one for one in offered if one.partition(".")[0] not in settings.networks]
    hint = near_key(prefix, offered)
    section = prefix.rpartition(".")[0]
    if not hint and section in sections - {""}:
        start = f"{section}."
        has = ", ".join(k.removeprefix(start) for k in known if k.startswith(start))
        hint = f"; {section} has {has}"
    return (
        f"--settings {prefix}: no setting of this run begins so{hint}; PREFIX is a key or a section"
        ", such as qin.fit or train, and PROFILE and key=value stand before --settings"
    )


def _assignment(line: Line) -> str:
    return f"{line.key} = {shown(line.value)}"


def _source(line: Line) -> str:
    return without_secrets(str(line.source))


def _one_line(line: Line) -> str:
    return "\t".join(
        (_assignment(line), _source(line), line.setting.expected, line.setting.meaning)
    )


def _block(line: Line, left: int, width: int) -> str:
    head = f"{_assignment(line):{left}}  {_source(line)}"
    about = f"{line.setting.meaning} ({line.setting.expected})"
    body = textwrap.wrap(about, width, initial_indent=INDENT, subsequent_indent=INDENT)
    return "\n".join((head, *body))
