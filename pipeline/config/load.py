"""Settings of a run: a profile's TOML and key=value overrides, checked and put together.

A profile may `extends = "other"`. Its tables named like a section of pipeline.config.settings set
it; a table named like a network (models/<name>.toml) changes that network; `[network]` changes
every network. Later levels replace earlier ones:

    default < network's TOML < profile ([network], then [<name>]) < typed (network.*, then <name>.*)
            < best.toml of a study, with train.settings=tuned

Unknown keys, wrong types and impossible values are all reported in one message that names the
nearest known key. A typed setting that nothing in the run reads is refused too.
"""

import dataclasses
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.settings import SampleSettings
from models.settings import NetworkSettings
from pipeline.config import choices, networks, paths, search_space
from pipeline.config.nearest import near, near_key, without_repeats
from pipeline.config.networks import ALL, Changes, Source, Sourced, Values, sourced
from pipeline.config.redact import one_line, without_secrets
from pipeline.config.schema import assemble, full_keys
from pipeline.config.settings import (
    DATA_SETTINGS,
    DEFAULT_MODELS,
    DataSettings,
    RunSettings,
    Settings,
)
from pipeline.config.tables import Table, read_override, read_toml

RENAMED = {  # old key -> new key
    "artefacts": "artifacts",
    "blend.extra": "blend.external",
    "blend.extra_weight": "blend.external_weight",
    "blend.extra_mean": "blend.external_mean",
}
KEYS = [  # that a message about an unknown one may name
    *full_keys(RunSettings, ""),
    *(key for cls in DATA_SETTINGS.values() for key in full_keys(cls, "data")),
    *full_keys(NetworkSettings, ALL),
]
RUN = [field.name for field in dataclasses.fields(RunSettings)]

Layer = tuple[Source, Table]  # the keys of one profile, or of one override


def load(profile: str, overrides: list[str]) -> Settings:
    """Settings of `profile` (a name in pipeline/profiles, or a path), changed by key=value.

    Raises InputError with every problem at once.
    """
    return load_with_sources(profile, overrides)[0]


def load_with_sources(profile: str, overrides: list[str]) -> tuple[Settings, Values]:
    """As `load`; beside it, by their full key, all values that are not defaults."""
    path = profile_path(profile)
    layers = [(Source("profile", file.name), table) for file, table in _with_bases(path)]
    layers += [(Source("typed", override), read_override(override)) for override in overrides]
    problems: list[str] = []
    sections = ["data", ALL, *networks.model_names()]
    for layer in layers:
        _refuse_unknown(layer, sections, problems)

    values = _section(RunSettings, "", [(s, _pick(table, RUN)) for s, table in layers], problems)
    run = assemble(RunSettings, networks.plain(values), "", problems) or RunSettings()
    if "models" not in values:
        run = dataclasses.replace(run, models=DEFAULT_MODELS[run.rules])
    data, data_values = _data(layers, problems)
    built, resolved = _networks(run.models, layers, problems)
    settings = Settings(
        **{name: getattr(run, name) for name in RUN},
        profile=path.stem,
        profile_argument=profile,
        overrides=tuple(overrides),
        data=data,
        networks=built,
    )
    problems += choices.problems(settings)
    problems += _searched(settings, resolved)
    if problems:
        command = [one_line(without_secrets(argument)) for argument in settings.arguments]
        message = one_line("; ".join(without_repeats(problems)), 10_000)
        raise InputError(f"{' '.join(command)}: {message}")
    for section, found in ({"data": data_values} | resolved).items():
        values |= {f"{section}.{key}": one for key, one in found.items()}
    return settings, values


def default_profile() -> tuple[str, str]:
    """The profile that is meant when none is named, and why."""
    if (paths.REPOSITORY / paths.FULL_DATA).exists():
        return "microlens_1m", f"{paths.FULL_DATA} exists"
    return "sample", f"{paths.FULL_DATA} does not exist"


def profile_path(profile: str) -> Path:
    """The TOML of a profile. Raises InputError."""
    path = Path(profile) if profile.endswith(".toml") else paths.PROFILES / f"{profile}.toml"
    if not path.is_file():
        known = sorted(p.stem for p in paths.PROFILES.glob("*.toml"))
        if profile.endswith(".toml"):
            raise InputError(f"profile {path} does not exist; there are {', '.join(known)} too")
        raise InputError(
            f"no profile {profile!r}{near(profile, known)}; there are {', '.join(known)},"
            " and any path that ends in .toml"
        )
    return path


def _with_bases(path: Path) -> list[tuple[Path, Table]]:
    """The profile and those that it extends, itself last."""
    found: list[tuple[Path, Table]] = []
    while True:
        path = path.resolve()
        if path in dict(found):
            raise InputError(f"{path}: extends itself")
        table = read_toml(path)
        base = table.pop("extends", None)
        found.append((path, table))
        if base is None:
            return found[::-1]
        if not isinstance(base, str):
            raise InputError(f"{path}: extends = {base!r} must be the name or path of one profile")
        beside = path.parent / base
        path = beside if beside.is_file() else profile_path(base)


def _refuse_unknown(layer: Layer, sections: list[str], problems: list[str]) -> None:
    """Take out of the layer what is no section and no key, or a key by its old name."""
    source, table = layer
    start = "" if source.level == "typed" else f"{source.detail}: "
    for old, new in RENAMED.items():
        section, _, key = old.rpartition(".")
        inner = table.get(section) if section else table
        if isinstance(inner, dict) and key in inner:
            del inner[key]
            problems.append(f"{start}{old} was renamed: write {new}=...")
    for key in list(table):
        if key not in (*RUN, *sections):
            problems.append(f"{start}unknown key {key!r}{near_key(key, [*sections, *KEYS])}")
            del table[key]
        elif key in sections and not isinstance(table[key], dict):
            shown = one_line(repr(table.pop(key)))
            problems.append(f"{start}{key} = {shown} must be a section: write {key}.<key>=<value>")


def _pick(table: Table, keys: list[str]) -> Table:
    return {key: value for key, value in table.items() if key in keys}


def _section(cls: type, where: str, layers: list[Layer], problems: list[str]) -> Values:
    """The values of one section, later layers above earlier ones."""
    values: Values = {}
    for source, table in layers:
        values |= sourced(cls, table, source, where, problems)
    return values


def _data(layers: list[Layer], problems: list[str]) -> tuple[DataSettings, Values]:
    """The settings of the source that `data.source` names."""
    tables = [(source, dict(table.get("data", {}))) for source, table in layers]
    names = [(table.pop("source"), source) for source, table in tables if "source" in table]
    name, source = names[-1] if names else (None, networks.DEFAULT)
    if not isinstance(name, str) or name not in DATA_SETTINGS:
        problems.append(f"data.source = {name!r} must be one of {', '.join(DATA_SETTINGS)}")
        return SampleSettings(), {}
    values = _section(DATA_SETTINGS[name], "data", tables, problems)
    data: Any = assemble(DATA_SETTINGS[name], networks.plain(values), "data", problems)
    return data or SampleSettings(), {"source": Sourced(name, source.at("data.source"))} | values


def _networks(
    chosen: tuple[str, ...], layers: list[Layer], problems: list[str]
) -> tuple[dict[str, NetworkSettings], dict[str, Values]]:
    """The chosen networks, and all of their values that are not defaults.

    What a profile or a command line changes in another network is checked all the same.
    """
    changes, built, resolved = Changes(), {}, {}
    names = networks.model_names()
    for section in (ALL, *names):
        for changed, typed in ((changes.profile, False), (changes.typed, True)):
            of_level = [
                (source, table[section])
                for source, table in layers
                if section in table and (source.level == "typed") == typed
            ]
            if of_level:
                changed[section] = _section(NetworkSettings, section, of_level, problems)
    for name in names:
        if name in chosen:
            values = networks.resolve(name, changes, problems)
        elif name in changes.profile or name in changes.typed:
            values = networks.resolve(name, changes.without_shared(), problems)
        else:
            continue
        network = assemble(NetworkSettings, networks.plain(values), name, problems)
        if name in chosen and network is not None:
            built[name], resolved[name] = network, values
    if {*chosen} <= built.keys():
        problems += networks.not_in_force(changes, built, resolved)
    return built, resolved


def _searched(settings: Settings, resolved: dict[str, Values]) -> list[str]:
    """A message for every typed setting that train.settings=tuned takes from a study instead."""
    problems: list[str] = []
    for model in settings.tuned:
        if model not in resolved:
            continue
        try:
            space = search_space.load(model, settings.networks[model])
        except InputError as error:
            problems.append(str(error))
            continue
        for key in space:
            value = resolved[model].get(key)
            if value is not None and value.source.level == "typed":
                problems.append(
                    f"{value.source.detail}: train.settings=tuned takes {model}.{key} from its"
                    " study, which has searched it; leave one of the two out"
                )
    return problems
