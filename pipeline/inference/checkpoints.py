"""Checkpoints of trained networks: those of the published implementations, and ours.

fuxictr  torch.save(state_dict), beside it a JSON of hyperparameters under FuxiCTR's names
ours     model.pt in a folder that 50_train published, its settings in artifact.json
"""

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from features.errors import InputError
from features.store.scoring_inputs import ModelVocab
from models.interop import fuxictr
from models.items import ItemTable
from models.layers.columns import Columns
from models.network import Network
from models.settings import NetworkSettings
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD, refuse_old_record
from pipeline.config.nearest import near
from pipeline.config.schema import build, settings_of
from pipeline.config.tables import flat, nested
from pipeline.graph import OFFICIAL


@dataclass(frozen=True, slots=True)
class PublishedFamily:
    """A published model: the parts that our network needs for it, and its hyperparameters.

    prefix  begins parameter names of this family and of no other
    keys    FuxiCTR's key -> ours; all are required, other keys are not read
    """

    parts: dict[str, Any]
    prefix: str
    keys: dict[str, str]


FAMILIES = {
    "qin": PublishedFamily(
        {"interest": "asta", "interaction": "qnn"},
        "qnn.",
        {
            "num_layers": "qnn.layers",
            "num_row": "qnn.rows",
            "batch_norm": "qnn.batch_norm",
        },
    ),
    "din": PublishedFamily(
        {"interest": "din", "interaction": "mlp"},
        "attention_layers.attention_layer.",
        {
            "attention_hidden_units": "din.hidden",
            "din_use_softmax": "din.softmax",
            "dnn_hidden_units": "mlp.hidden",
            "batch_norm": "mlp.batch_norm",
        },
    ),
    "transformer_dcn": PublishedFamily(
        {
            "interest": "transformer",
            "interaction": "cross",
            "transformer": {"mask": "as_published"},
        },
        "transformer_encoder.",
        {
            "transformer_layers": "transformer.layers",
            "num_heads": "transformer.heads",
            "dim_feedforward": "transformer.feedforward",
            "first_k_cols": "transformer.last",
            "dcn_cross_layers": "cross.layers",
            "dcn_hidden_units": "cross.deep",
            "mlp_hidden_units": "cross.hidden",
            "batch_norm": "cross.batch_norm",
        },
    ),
}
SHARED = {"embedding_dim": "embedding_dim", "max_len": "max_len"}
FIXED = {  # choices of FuxiCTR that leave no trace in parameter names, as our networks have them
    "dnn_activations": "ReLU",
    "attention_hidden_activations": "ReLU",
    "attention_output_activation": None,
    "concat_max_pool": True,
}
SIZES = {"items": "item.id", "tags": "item.tag"}  # optional keys -> tables with as many rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network without its items.

    state    under the parameter names of its file
    fuxictr  whether these names are FuxiCTR's
    store    digest of the store that it was trained on, where that is known
    content  prepare.content of that store
    origin   name, commit and scores of the fit, for those who use its export
    """

    path: Path
    settings: NetworkSettings
    state: dict[str, Tensor]
    fuxictr: bool
    store: str | None = None
    content: str = "given"
    origin: dict[str, Any] = field(default_factory=dict)

    def table_shape(self, name: str) -> tuple[int, int]:
        """Rows and width of a table, by our name; (1, 1) where it is missing: see `check`."""
        stored_name = fuxictr.TABLES.get(name) if self.fuxictr else name
        table = self.state.get(f"{stored_name}.weight")
        rows, width = (1, 1) if table is None or table.ndim != 2 else table.shape
        return max(rows, 1), max(width, 1)

    @property
    def vocab(self) -> ModelVocab:
        """The ids and columns that the network reads, by the shapes of its tables."""
        return ModelVocab(
            n_items=self.table_shape("item.id")[0],
            n_tags=self.table_shape("item.tag")[0],
            n_users=self.table_shape("user")[0] if self.settings.user_id else 0,
            content_width=self.table_shape("item.content_map")[1],
            item_levels=self.settings.item_levels,
            max_len=self.settings.max_len,
        )

    def check(self) -> None:
        """Raise InputError where the state does not fit a network of the settings."""
        vocab = self.vocab
        with torch.device("meta"):
            ids = torch.zeros(vocab.n_items, 5, dtype=torch.int64)
            content = torch.zeros(vocab.n_items, vocab.content_width)
            items = ItemTable(
                tags=ids, content=content, n_tags=0, likes=ids[:, 0], views=ids[:, 0], codes=ids
            )
            self._build(items, vocab.max_len)

    def network(self, items: ItemTable, width: int) -> Network:
        """The network on `items`, for histories in lists of `width` entries.

        A published network is as long as its lists, and pads no further.
        """
        max_len = self.settings.max_len
        network, state = self._build(items, min(max_len, width) if self.fuxictr else max_len)
        network.load_state_dict(state)
        return network

    def _build(self, items: ItemTable, max_len: int) -> tuple[Network, dict[str, Tensor]]:
        """A new network, and the state that it must load, under our names."""
        items = replace(items, n_tags=self.vocab.n_tags, n_codes=self.table_shape("item.code")[0])
        columns = Columns.of_state(self.state, "columns.") if self.settings.columns else None
        try:
            cfg = replace(self.settings, max_len=max_len)
            network = Network(cfg, items, self.vocab.n_users, columns)
            if self.fuxictr:
                return network, fuxictr.as_ours(network, self.state)
            same_names = {key: key for key in network.state_dict()}
            return network, fuxictr.matched(network, self.state, same_names)
        except (ValueError, RuntimeError) as error:  # torch: a size that no memory holds
            raise InputError(f"{self.path} does not fit its settings: {error}") from None


def open_fuxictr(path: Path, settings: Path) -> Checkpoint:
    """A published checkpoint with its hyperparameters (JSON). Raises InputError."""
    state, hyperparameters = load_state(path), read_json(settings)
    problems: list[str] = []
    family = FAMILIES[family_of(hyperparameters, state, settings)]
    schema, values = settings_of(NetworkSettings), flat(family.parts)
    for key, our_key in (SHARED | family.keys).items():
        if key not in hyperparameters:
            problems.append(f"missing key {key!r}{near(key, hyperparameters, 'there is')}")
            continue
        values[our_key] = schema[our_key].read(hyperparameters[key], key, problems)
    problems += [
        f"{key} = {hyperparameters[key]!r}, but only {value!r} can be scored"
        for key, value in FIXED.items()
        if key in hyperparameters and str(hyperparameters[key]).lower() != str(value).lower()
    ]
    cfg = None if problems else build(NetworkSettings, nested(values), "", problems)
    if problems:
        raise InputError(f"{settings}: " + "; ".join(problems))
    checkpoint = Checkpoint(
        path=path, settings=cfg, state=state, fuxictr=True, origin={"name": path.name}
    )
    for key, table in SIZES.items():
        n_rows = checkpoint.table_shape(table)[0]
        if hyperparameters.get(key, n_rows) != n_rows:
            raise InputError(
                f"{settings} says {key} = {hyperparameters[key]}, the table in {path} has"
                f" {n_rows} rows"
            )
    checkpoint.check()
    return checkpoint


def family_of(hyperparameters: dict, state: dict[str, Tensor], settings: Path) -> str:
    """By the key "model" (QIN_variety_v9, DIN, ...), or else by the parameters' names.

    Raises InputError where neither names one family, or the two disagree.
    """
    by_names = [
        name
        for name, family in FAMILIES.items()
        if any(parameter.startswith(family.prefix) for parameter in state)
    ]
    if "model" in hyperparameters:
        model = str(hyperparameters["model"]).lower()
        candidates = [name for name in FAMILIES if model.startswith(name)]
        source = f"{settings}: model = {hyperparameters['model']!r}"
    else:
        candidates = by_names
        source = f'{settings} has no "model", and the checkpoint\'s names do not show which it is'
    if len(candidates) != 1:
        raise InputError(f"{source}; it must be one of {', '.join(FAMILIES)}")
    if by_names and candidates != by_names:
        raise InputError(f"{source}, but the names in the checkpoint are those of {by_names[0]}")
    if not by_names and any(parameter.startswith("interest.") for parameter in state):
        raise InputError("the names in the checkpoint are ours: score it with --format ours")
    return candidates[0]


def open_ours(path: Path) -> Checkpoint:
    """A checkpoint by the folder that 50_train published, or by its model.pt. Raises InputError."""
    folder = path if path.is_dir() else path.parent
    refuse_old_record(folder)
    if not path.exists() or not (folder / RECORD).is_file():
        raise InputError(
            f"{path} is no fit of ours: expected a folder of artifacts/<profile>/50_train/, or the"
            " model.pt in it; --format fuxictr takes FuxiCTR's checkpoints"
        )
    record = read_json(folder / RECORD)
    problems: list[str] = []
    try:
        settings, store = record["settings"]["network"], record["inputs"]["store"]
        content = record["report"]["content"]
        cfg = build(NetworkSettings, settings, "", problems)
    except (KeyError, TypeError, AttributeError):
        problems.append("no settings of a network in it; expected a folder of pipeline.50_train")
    if problems:
        raise InputError(f"{folder / RECORD}: " + "; ".join(problems))
    model = folder / "model.pt" if path.is_dir() else path
    checkpoint = Checkpoint(
        path=model,
        settings=cfg,
        state=load_state(model),
        fuxictr=False,
        store=store,
        content=content,
        origin=origin_of(folder, record),
    )
    checkpoint.check()
    return checkpoint


def origin_of(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Name, commit and scores of the fit in `folder`; null where the record does not say."""
    report, fold = record["report"], record["settings"].get("fold", OFFICIAL)
    of = "official valid, which chose the epoch" if fold == OFFICIAL else f"held-out fold {fold}"
    scores = {"auc": report.get("auc"), "of": of, "best_epoch": report.get("best_epoch")}
    return {"name": folder.name, "commit": record.get("commit"), "scores": scores}


def load_state(path: Path) -> dict[str, Tensor]:
    """The state_dict in `path`; loading never runs code of the file. Raises InputError."""
    if not path.is_file():
        raise InputError(f"no checkpoint {path}; expected a file of torch.save(state_dict)")
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's advice on files refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file makes torch raise
        raise InputError(
            f"{path} cannot be loaded ({type(error).__name__}): it is damaged, no checkpoint, or"
            " holds code, which is never run; expected a file of torch.save(state_dict)"
        ) from None
    valid = isinstance(state, dict) and all(
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_complex() or value.is_quantized)
        and value.nbytes <= value.untyped_storage().nbytes()  # a few bytes may claim any shape
        for name, value in state.items()
    )
    if not valid or not state:
        raise InputError(
            f"{path} holds no state_dict; expected names, each with a tensor of real numbers"
        )
    return dict(state)
