"""Data sets and the settings of networks on them: TOML files, each line above those before it.

    shared.toml                     what all published runs share
    networks/<network>.toml         what a network is
    data_sets/<data set>.toml       [shared]: of all networks there
                                    [<network>]: of one; the published settings and figures

A network whose TOML says `extends = "final_2b"` starts from that one as the data set has it; its
own TOML and section stand above. <network>_final is a network with a FINAL block in place of its
MLP. A data set of one's own is such a TOML: [data] is all that it needs.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from bench.fields.data.schema import Schema
from features.errors import InputError
from models.fields.settings import FieldSettings
from pipeline.config.nearest import near, without_repeats
from pipeline.config.paths import REPOSITORY
from pipeline.config.schema import build, values_of
from pipeline.config.tables import Table, flat, merge, read_toml

FOLDER = REPOSITORY / "bench" / "fields"
DATA_SETS = tuple(sorted(path.stem for path in (FOLDER / "data_sets").glob("*.toml")))
BLOCK = "_final"  # <network>_final is the network with a FINAL block in place of its MLP
BACKBONES = {
    "mlp": "MLP",
    "dcn": "DCN",
    "dcn_v2": "DCN V2",
    "deepfm": "DeepFM",
    "xdeepfm": "xDeepFM",
    "autoint_plus": "AutoInt+",
}
LAYERS = {"final_1b": "FINAL 1B", "final_2b": "FINAL 2B"}  # with the published and the paper's
NETWORKS = (
    *("lr", "fm", "afm", "crossnet", "crossnet_v2", "cin", "sam", "autoint"),
    *BACKBONES,
    *("final_1b", "final_dual", "final_2b"),
    *(f"{network}_paper" for network in LAYERS),
    *(f"{backbone}{BLOCK}" for backbone in BACKBONES),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How many each split has; 0 where it is not known."""

    train: Annotated[int, "[0, inf)", "Rows of train."] = 0
    valid: Annotated[int, "[0, inf)", "Rows of valid."] = 0
    test: Annotated[int, "[0, inf)", "Rows of test."] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(Schema):
    """The columns of a data set, and what is known of its files."""

    rows: Rows = field(default_factory=Rows)
    sizes: Annotated[
        tuple[int, ...],
        "[2, inf) rows",
        "Rows of each categorical column's vocabulary, those of padding and of other values"
        " included; where they are known.",
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Figures of a network on the files of a data set; 0 where there is none."""

    paper_auc: Annotated[float, "[0, 1)", "AUC of test in FINAL's Table 1 or 2, four digits."] = 0.0
    auc: Annotated[float, "[0, 1)", "AUC of test of the benchmark's run."] = 0.0
    log_loss: Annotated[float, "[0, inf)", "Log loss of test of that run."] = 0.0
    parameters: Annotated[int, "[0, inf)", "Its number of parameters."] = 0
    epochs: Annotated[int, "[0, inf)", "Epochs that it trained."] = 0
    seconds: Annotated[int, "[0, inf) seconds", "Seconds an epoch, on a P100."] = 0


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set: its columns, the settings of its networks as raw tables, published figures."""

    name: str
    data: Data
    shared: Table
    sections: dict[str, Table]
    published: dict[str, Published]


def chosen(name: str | None, schema: Path | None) -> DataSet:
    """The data set of a command line: one of DATA_SETS, or that of a TOML. Raises InputError."""
    if (name is None) == (schema is None):
        raise InputError(
            f"got {'both a data set and' if name else 'neither a data set nor'} --schema; expected"
            f" one of {', '.join(DATA_SETS)}, or --schema FILE.toml for other files"
        )
    return read_data_set(schema) if name is None else data_set(name)


def data_set(name: str) -> DataSet:
    """One of DATA_SETS by its name. Raises InputError."""
    if name not in DATA_SETS:
        raise InputError(
            f"got the data set {name!r}{near(name, DATA_SETS)}; there are {', '.join(DATA_SETS)};"
            " for other files write a TOML that names their columns: --schema FILE.toml"
        )
    return read_data_set(FOLDER / "data_sets" / f"{name}.toml")


def read_data_set(path: Path) -> DataSet:
    """The data set of a TOML. Raises InputError with everything that is wrong in it."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a TOML whose [data] names the columns")
    table, problems = read_toml(path), []
    for key, value in table.items():
        known = ("data", "shared", *NETWORKS)
        if key not in known:
            problems.append(f"unknown section {key!r}{near(key, known)}")
        elif not isinstance(value, dict):
            problems.append(f"{key} = {value!r} must be a section")
    sections = {key: table[key] for key in NETWORKS if isinstance(table.get(key), dict)}
    published = {
        name: build(Published, section.pop("published"), f"{name}.published", problems)
        for name, section in sections.items()
        if isinstance(section.get("published"), dict)
    }
    shared = table.get("shared", {})
    for name, section in {"shared": shared, **sections}.items():
        if isinstance(section, dict):
            values_of(FieldSettings, section, name, problems)
    data = table.get("data", {})
    data = build(Data, data, "data", problems) if isinstance(data, dict) else None
    if problems or data is None:
        raise InputError(f"{path}: {'; '.join(without_repeats(problems))}")
    return DataSet(path.stem, data, shared, sections, published)


def networks(text: str) -> list[str]:
    """Names of NETWORKS, comma-separated. Raises InputError."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    problems = [f"{n!r}{near(n, list(NETWORKS))}" for n in names if n not in NETWORKS]
    if problems:
        raise InputError(
            f"--models: unknown {', '.join(problems)}; expected: {', '.join(NETWORKS)}"
        )
    return names


def network_settings(name: str, of: DataSet, max_epochs: int | None = None) -> FieldSettings:
    """The settings of a network on a data set; `max_epochs` replaces theirs.

    Raises InputError that lists every problem, also settings that no part of the network reads.
    """
    cfg = _built(name, _table(name, of))
    if max_epochs is None:
        return cfg
    return dataclasses.replace(cfg, fit=dataclasses.replace(cfg.fit, max_epochs=max_epochs))


def _table(name: str, of: DataSet) -> Table:
    """All that is set for a network, the last line of each key."""
    if name.endswith(BLOCK):
        backbone = _table(name.removesuffix(BLOCK), of)
        table = merge(backbone, _block_for_mlp(name, _built(name, backbone)))
    else:
        own = read_toml(FOLDER / "networks" / f"{name}.toml")
        if base := own.pop("extends", None):
            table = merge(_table(base, of), own)
        else:
            table = merge(merge(read_toml(FOLDER / "shared.toml"), own), of.shared)
    section = of.sections.get(name, {})
    table = merge(table, section)
    _refuse_unread(name, of, _built(name, table), section)
    return table


def _block_for_mlp(name: str, cfg: FieldSettings) -> Table:
    """One FINAL block of as many layers, each as wide as those of the MLP of `cfg`, in its place:
    the number of parameters stays. Raises InputError for odd widths, which a block cannot have."""
    if any(width % 2 for width in cfg.mlp.hidden):
        raise InputError(
            f"{name.removesuffix(BLOCK)}.mlp.hidden = {list(cfg.mlp.hidden)}: {name} has a FINAL"
            f" block of these widths, which must be even; set even ones, or --models without {name}"
        )
    return {
        "deep": "final",
        "final": {
            "block1": list(cfg.mlp.hidden),
            "block2": [],
            "residual": "concat",
            "activation1": "relu",
            "gating": False,
            "dropout": cfg.mlp.dropout,
            "batch_norm": cfg.mlp.batch_norm,
        },
    }


def _built(name: str, table: Mapping[str, Any]) -> FieldSettings:
    problems: list[str] = []
    cfg = build(FieldSettings, table, "", problems)
    if cfg is None:
        raise InputError(f"{name}: {'; '.join(without_repeats(problems))}")
    return cfg


def _refuse_unread(name: str, of: DataSet, cfg: FieldSettings, section: Table) -> None:
    unread = sorted(cfg.unread & {*section, *flat(section)})
    if unread:
        raise InputError(
            f"{of.name}: "
            + "; ".join(f"{name}.{key} is read by no part that this network has" for key in unread)
        )
