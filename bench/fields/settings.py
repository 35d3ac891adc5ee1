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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from bench.fields.data.schema import Schema
from features.errors import InputError, listed
from models.fields.settings import FieldSettings
from pipeline.config.nearest import near, without_repeats
from pipeline.config.paths import REPOSITORY
from pipeline.config.redact import one_line
from pipeline.config.schema import assemble, build, values_of
from pipeline.config.tables import Table, flat, merge, nested, read_toml

FOLDER = REPOSITORY / "bench" / "fields"
DATA_SETS = tuple(sorted(path.stem for path in (FOLDER / "data_sets").glob("*.toml")))
MAX_NAMES = 3  # networks that a message lists
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

    def __post_init__(self) -> None:
        Schema.__post_init__(self)  # super() is not to be had where slots are
        if self.sizes and len(self.sizes) != len(self.categorical):
            raise ValueError(
                f"sizes: got {len(self.sizes)}, expected one for each of the"
                f" {len(self.categorical)} categorical columns"
            )


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

    path: Path
    data: Data
    shared: Table
    sections: dict[str, Table]
    published: dict[str, Published]

    @property
    def name(self) -> str:
        return self.path.stem


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
    """The data set of a TOML. Raises InputError with everything that is wrong in it, also in
    sections of networks that are not trained."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a TOML whose [data] names the columns")
    table, problems = read_toml(path), []
    known = ("data", "shared", *NETWORKS)
    for key, value in table.items():
        if key not in known:
            problems.append(f"unknown section {key!r}{near(key, known)}")
        elif not isinstance(value, dict):
            problems.append(f"{key} = {one_line(repr(value))} must be a section")
    sections = {key: table[key] for key in known if isinstance(table.get(key), dict)}
    data = sections.pop("data", None if "data" in table else {})
    columns = None if data is None else _columns(data, problems)
    published = {
        name: _published(name, section, problems)
        for name, section in sections.items()
        if name != "shared"
    }
    good = {
        name: nested(values_of(FieldSettings, section, name, problems))
        for name, section in sections.items()
    }
    of = DataSet(
        path,
        columns or Data(label="", categorical=()),  # which `problems` say
        good.pop("shared", {}),
        good,
        {name: figures for name, figures in published.items() if figures is not None},
    )
    problems += _broken_rules(of)
    if problems:
        raise InputError(f"{path}: {'; '.join(without_repeats(problems))}")
    return of


def _published(name: str, section: Table, problems: list[str]) -> Published | None:
    """The figures in a network's section, which are taken out of it."""
    figures = section.pop("published", None)
    if not isinstance(figures, dict):
        if figures is not None:
            shown = one_line(repr(figures))
            problems.append(f"{name}.published = {shown} must be a section of figures")
        return None
    return build(Published, figures, f"{name}.published", problems)


def _columns(section: Table, problems: list[str]) -> Data | None:
    """The columns; a name that is wrong in itself does not hide that another stands twice."""
    values = values_of(Data, section, "data", problems)
    wrong: Table = {"label": "", "categorical": ()}
    wrong = {key: value for key, value in wrong.items() if key in section}
    return assemble(Data, wrong | values, "data", problems)


def _broken_rules(of: DataSet) -> list[str]:
    """Settings that contradict each other, or that no part reads, each with its networks."""
    found: dict[str, list[str]] = {}
    unread = {*flat(of.shared)}
    for name in NETWORKS:
        if name in of.sections or not name.endswith(BLOCK):
            problems: list[str] = []
            cfg = _settings(name, of, problems)
            unread = {key for key in unread if cfg is not None and not cfg.reads(key)}
            for problem in problems:
                found.setdefault(problem, []).append(name)
    return [
        *(f"{listed(names, MAX_NAMES)}: {problem}" for problem, names in found.items()),
        *(f"shared: {key} is read by no network" for key in sorted(unread)),
    ]


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
    problems: list[str] = []
    cfg = _settings(name, of, problems)
    if cfg is None or problems:
        raise InputError(f"{of.path}: {name}: {'; '.join(without_repeats(problems))}")
    if max_epochs is None:
        return cfg
    return dataclasses.replace(cfg, fit=dataclasses.replace(cfg.fit, max_epochs=max_epochs))


def _settings(name: str, of: DataSet, problems: list[str]) -> FieldSettings | None:
    """The settings of a network, or None; `problems` are extended by what is wrong with them."""
    table = _table(name, of, problems)
    cfg = None if table is None else build(FieldSettings, table, "", problems)
    if cfg is not None:
        section = of.sections.get(name, {})
        unread = sorted(cfg.unread & {*section, *flat(section)})
        problems += [f"{key} is read by no part that this network has" for key in unread]
    return cfg


def _table(name: str, of: DataSet, problems: list[str]) -> Table | None:
    """All that is set for a network, the last line of each key."""
    if name.endswith(BLOCK):
        backbone = _table(name.removesuffix(BLOCK), of, problems)
        block = _block_for_mlp(name, backbone, problems) if backbone else None
        table = merge(backbone, block) if backbone and block else None
    else:
        own = read_toml(FOLDER / "networks" / f"{name}.toml")
        if base := own.pop("extends", None):
            below = _table(base, of, problems)
            table = None if below is None else merge(below, own)
        else:
            table = merge(merge(read_toml(FOLDER / "shared.toml"), own), of.shared)
    return None if table is None else merge(table, of.sections.get(name, {}))


def _block_for_mlp(name: str, table: Table, problems: list[str]) -> Table | None:
    """One FINAL block of as many layers, each as wide as those of the MLP of `cfg`, in its place:
    the number of parameters stays. None for odd widths, which a block cannot have."""
    cfg = build(FieldSettings, table, "", problems)
    if cfg is None:
        return None
    if any(width % 2 for width in cfg.mlp.hidden):
        problems.append(
            f"{name.removesuffix(BLOCK)}.mlp.hidden = {list(cfg.mlp.hidden)}: {name} has a FINAL"
            f" block of these widths, which must be even; set even ones, or leave {name} out, of"
            " --models and of the file"
        )
        return None
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
