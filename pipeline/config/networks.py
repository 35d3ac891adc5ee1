"""The networks in models/, and what becomes of their settings in a run.

A later level of settings replaces an earlier one:

    default    of the dataclasses in models.settings
    network    models/<name>.toml
    profile    [network], then [<name>]
    typed      network.<key>, then <name>.<key>

A network that `extends` another starts from that one as the run resolves it. Its own TOML comes
above that, then the profile's section of its own name, then what was typed. `network.<key>` is
refused where the extending network's own TOML sets the key, since that is what tells the two apart.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from features.errors import InputError
from models.settings import NetworkSettings
from pipeline.config import paths
from pipeline.config.nearest import near
from pipeline.config.schema import assemble, values_of
from pipeline.config.tables import Table, read_toml

ALL = "network"  # the section whose settings hold for every network


class Source(NamedTuple):
    """Where a value comes from: the level, and which file or typed key of it."""

    level: str  # default | network | profile | typed | study
    detail: str = ""
    section: str = ""  # of a profile

    def __str__(self) -> str:
        text = f"{self.level}: {self.detail}" if self.detail else self.level
        return f"{text} [{self.section}]" if self.section else text

    def at(self, key: str) -> "Source":
        """The source of one key; in a profile, it names the key's section."""
        return self._replace(section=key.rpartition(".")[0]) if self.level == "profile" else self


DEFAULT = Source("default")


class Sourced(NamedTuple):
    """A value in force and its source."""

    value: Any
    source: Source


Values = dict[str, Sourced]  # by dotted key


@dataclass(frozen=True, slots=True)
class Changes:
    """What a profile and a command line change, by section: `network`, or a network's name."""

    profile: dict[str, Values] = field(default_factory=dict)
    typed: dict[str, Values] = field(default_factory=dict)

    def without_shared(self) -> "Changes":
        """Without what holds for every network of the run."""
        profile, typed = dict(self.profile), dict(self.typed)
        profile.pop(ALL, None)
        typed.pop(ALL, None)
        return Changes(profile, typed)


def model_paths() -> dict[str, Path]:
    """The TOML of every network that can be trained, the papers' ablations among them."""
    with os.scandir(paths.MODELS) as entries:  # a glob takes four times as long, often in a run
        inner = [one.path for one in entries if one.is_dir() and one.name != paths.SPACES]
    folders = [str(paths.MODELS), *inner]
    found = [f"{folder}/{name}" for folder in folders for name in os.listdir(folder)]
    tomls = [Path(name) for name in sorted(found) if name.endswith(".toml")]
    return {path.stem: path for path in tomls}


def model_names() -> list[str]:
    return sorted(model_paths())


def model_path(name: str) -> Path:
    return model_paths()[name]


def paper_settings(model: str) -> NetworkSettings:
    """A network as its own TOML has it, whatever a profile and a command line change."""
    problems: list[str] = []
    network = assemble(NetworkSettings, plain(resolve(model, Changes(), problems)), model, problems)
    if problems or network is None:
        raise InputError("; ".join(problems))
    return network


def plain(values: Values) -> dict[str, Any]:
    """The values alone."""
    return {key: sourced.value for key, sourced in values.items()}


def lineage(name: str) -> list[tuple[str, Table]]:
    """(name, own TOML) of the network that `name` goes back to, and so on down to `name` itself.

    Raises InputError where a TOML extends what is no other network.
    """
    found: list[tuple[str, Table]] = []
    known = model_paths()
    child: str | None = name
    while child is not None:
        table = read_toml(known[child])
        base = table.pop("extends", None)
        found.append((child, table))
        names = [other for other in known if other not in dict(found)]
        if base is not None and base not in names:
            raise InputError(
                f"{known[child]}: extends = {base!r} must be the name of another network"
                f"{near(str(base), names)}; there are {', '.join(names)}"
            )
        child = base
    return found[::-1]


def resolve(name: str, changes: Changes, problems: list[str]) -> Values:
    """Every setting of the network that is not a default, with its source."""
    (root, table), *heirs = lineage(name)
    profile, typed = changes.profile, changes.typed
    everywhere = typed.get(ALL, {})
    values = sourced(NetworkSettings, table, Source("network", f"{root}.toml"), "", problems)
    values |= profile.get(ALL, {}) | profile.get(root, {}) | everywhere | typed.get(root, {})
    refused: dict[str, str] = {}
    for heir, table in heirs:
        source = Source("network", f"{heir}.toml")
        own = sourced(NetworkSettings, table, source, "", problems)
        values |= own | profile.get(heir, {})
        mine = typed.get(heir, {})
        for key, shared in everywhere.items():
            if key in own:
                refused[key] = (
                    f"{shared.source.detail}: {source.detail} sets {key} itself; write"
                    f" {heir}.{key}=... to change it there"
                )
            elif values[key].source.level != "typed":  # what was typed for its base is nearer
                values[key] = shared
        values |= mine
        for key in mine:
            refused.pop(key, None)  # replaced by what was typed for this network
    problems += refused.values()
    return values


def sourced(cls: type, table: Table, source: Source, where: str, problems: list[str]) -> Values:
    """The checked values of `table`, all from `source`. Problems of a file begin with its name."""
    found: list[str] = []
    values = values_of(cls, table, where, found)
    problems += found if source.level == "typed" else [f"{source.detail}: {p}" for p in found]
    start = f"{where}." if where else ""
    return {key: Sourced(value, source.at(f"{start}{key}")) for key, value in values.items()}


def not_in_force(
    changes: Changes, networks: Mapping[str, NetworkSettings], resolved: Mapping[str, Values]
) -> list[str]:
    """A message for every typed setting that no network of the run reads."""
    problems = []
    for section, values in changes.typed.items():
        reached = [n for n in networks if section == ALL or section in dict(lineage(n))]
        for key, (_, source) in values.items():
            typed = [n for n in reached if resolved[n][key].source.level == "typed"]
            if any(networks[n].reads(key) for n in typed):
                continue  # in force, or replaced by what was typed for a network of its own
            if not reached:
                reason = f"{section} is not among models={','.join(networks)}"
            elif section == ALL and not typed:
                continue  # resolve has refused it
            elif typed:
                reason = "; ".join(f"the parts of {n} are {networks[n].parts}" for n in typed)
            else:
                n = reached[0]
                reason = f"{n} has {n}.{key} from {resolved[n][key].source}; write {n}.{key}=..."
            problems.append(f"{source.detail}: not read, {reason}")
    return problems
