"""Checkpoints of trained networks: those of the published implementations, and ours.

fuxictr  torch.save(state_dict), beside it a JSON of hyperparameters under FuxiCTR's names
ours     model.pt in a folder that 50_train published, its settings in artifact.json
"""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from features.errors import InputError
from features.store.scoring_inputs import ModelVocab
from models.interop import fuxictr as published
from models.items import ItemTable
from models.network import Network
from models.settings import NetworkSettings
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD
from pipeline.config.schema import build, near, settings_of
from pipeline.config.tables import flat, nested


@dataclass(frozen=True, slots=True)
class PublishedFamily:
    """A published model: the parts it is made of, and its hyperparameters.

    telling  how names begin that only this family has
    keys     FuxiCTR's key -> ours; all are needed, others are not read
    """

    parts: dict[str, Any]
    telling: str
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
FIXED = {  # what our networks always are, where FuxiCTR has a choice that leaves no trace in names
    "dnn_activations": "ReLU",
    "attention_hidden_activations": "ReLU",
    "attention_output_activation": None,
    "concat_max_pool": True,
}
SIZES = {"items": "item.id", "tags": "item.tag"}  # optional keys -> tables with as many rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network, all but its items.

    state    under the names in its file
    fuxictr  whether these are FuxiCTR's
    store    digest of the store that it was trained on, where that is known
    content  prepare.content of that store
    """

    path: Path
    settings: NetworkSettings
    state: dict[str, Tensor]
    fuxictr: bool
    store: str | None = None
    content: str = "given"

    def table(self, name: str) -> tuple[int, int]:
        """The shape of a table, by our name; (1, 1) where the state has none: `check` says so."""
        theirs = published.TABLES.get(name) if self.fuxictr else name
        found = self.state.get(f"{theirs}.weight")
        rows, width = (1, 1) if found is None or found.ndim != 2 else found.shape
        return max(rows, 1), max(width, 1)

    @property
    def known(self) -> ModelVocab:
        """What the network knows and reads, by the shapes of its tables."""
        return ModelVocab(
            n_items=self.table("item.id")[0],
            n_tags=self.table("item.tag")[0],
            n_users=self.table("user")[0] if self.settings.user_id else 0,
            content_width=self.table("item.content_map")[1],
            item_levels=self.settings.item_levels,
            max_len=self.settings.max_len,
        )

    def check(self) -> None:
        """Raise InputError unless the settings' network takes the state, whatever its items."""
        known = self.known
        with torch.device("meta"):
            ids = torch.zeros(known.n_items, 5, dtype=torch.int64)
            content = torch.zeros(known.n_items, known.content_width)
            items = ItemTable(
                tags=ids, content=content, n_tags=0, likes=ids[:, 0], views=ids[:, 0], codes=ids
            )
            self._fitting(items, known.max_len)

    def network(self, items: ItemTable, width: int) -> Network:
        """The network on `items`, for histories in lists of `width` entries.

        A published network is as long as its lists, and pads no further.
        """
        max_len = self.settings.max_len
        network, state = self._fitting(items, min(max_len, width) if self.fuxictr else max_len)
        network.load_state_dict(state)
        return network

    def _fitting(self, items: ItemTable, max_len: int) -> tuple[Network, dict[str, Tensor]]:
        """A new network and what it is to load."""
        items = replace(items, n_tags=self.known.n_tags, n_codes=self.table("item.code")[0])
        try:
            network = Network(replace(self.settings, max_len=max_len), items, self.known.n_users)
            if self.fuxictr:
                return network, published.as_ours(network, self.state)
            same = {key: key for key in network.state_dict()}
            return network, published.matched(network, self.state, same)
        except (ValueError, RuntimeError) as error:  # torch: a size that no memory holds
            raise InputError(f"{self.path} does not fit its settings: {error}") from None


def open_fuxictr(path: Path, settings: Path) -> Checkpoint:
    """A published checkpoint with its hyperparameters (JSON). Raises InputError."""
    state, given = load_state(path), read_json(settings)
    problems: list[str] = []
    family = FAMILIES[family_of(given, state, settings)]
    known, values = settings_of(NetworkSettings), flat(family.parts)
    for theirs, ours in (SHARED | family.keys).items():
        if theirs not in given:
            problems.append(f"missing key {theirs!r}{near(theirs, [*given], 'there is')}")
            continue
        values[ours] = known[ours].read(given[theirs], theirs, problems)
    problems += [
        f"{key} = {given[key]!r}, but only {value!r} can be scored"
        for key, value in FIXED.items()
        if key in given and str(given[key]).lower() != str(value).lower()
    ]
    s = None if problems else build(NetworkSettings, nested(values), "", problems)
    if problems:
        raise InputError(f"{settings}: " + "; ".join(problems))
    checkpoint = Checkpoint(path=path, settings=s, state=state, fuxictr=True)
    for key, table in SIZES.items():
        if key in given and given[key] != checkpoint.table(table)[0]:
            raise InputError(
                f"{settings} says {key} = {given[key]}, the table in {path} has"
                f" {checkpoint.table(table)[0]} rows"
            )
    checkpoint.check()
    return checkpoint


def family_of(given: dict, state: dict[str, Tensor], settings: Path) -> str:
    """By the key "model" (QIN_variety_v9, DIN, ...), or else by the parameters' names."""
    if "model" in given:
        model = str(given["model"]).lower()
        found = [name for name in FAMILIES if model.startswith(name)]
        said = f"{settings}: model = {given['model']!r}"
    else:
        found = [n for n, f in FAMILIES.items() if any(key.startswith(f.telling) for key in state)]
        said = f'{settings} has no "model", and the names in the checkpoint do not tell'
    if len(found) != 1:
        raise InputError(f"{said}; it must be one of {', '.join(FAMILIES)}")
    others = [n for n, f in FAMILIES.items() if any(key.startswith(f.telling) for key in state)]
    if others and found != others:
        raise InputError(f"{said}, but the names in the checkpoint are those of {others[0]}")
    if not others and any(key.startswith("interest.") for key in state):
        raise InputError("the names in the checkpoint are ours: score it with --format ours")
    return found[0]


def open_ours(path: Path) -> Checkpoint:
    """A checkpoint by the folder that 50_train published, or by its model.pt. Raises InputError."""
    folder = path if path.is_dir() else path.parent
    if not path.exists() or not (folder / RECORD).is_file():
        raise InputError(
            f"{path} is no fit of ours: expected a folder of artifacts/<profile>/50_train/, or the"
            " model.pt in it; --format fuxictr takes FuxiCTR's checkpoints"
        )
    record = read_json(folder / RECORD)
    problems: list[str] = []
    try:
        given, store = record["settings"]["network"], record["inputs"]["store"]
        content = record["report"]["content"]
        s = build(NetworkSettings, given, "", problems)
    except (KeyError, TypeError, AttributeError):
        problems.append("no settings of a network in it; expected a folder of pipeline.50_train")
    if problems:
        raise InputError(f"{folder / RECORD}: " + "; ".join(problems))
    model = folder / "model.pt" if path.is_dir() else path
    checkpoint = Checkpoint(
        path=model, settings=s, state=load_state(model), fuxictr=False, store=store, content=content
    )
    checkpoint.check()
    return checkpoint


def load_state(path: Path) -> dict[str, Tensor]:
    """The state_dict that `path` holds; loading runs no code of the file's. Raises InputError."""
    if not path.is_file():
        raise InputError(f"no checkpoint {path}; expected a file of torch.save(state_dict)")
    try:
        with warnings.catch_warnings(action="ignore"):  # its advice on odd files: refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file makes torch raise
        raise InputError(
            f"{path} cannot be loaded ({type(error).__name__}): it is damaged, no checkpoint, or"
            " holds code, which is never run; expected a file of torch.save(state_dict)"
        ) from None
    fine = isinstance(state, dict) and all(
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_complex() or value.is_quantized)
        and value.nbytes <= value.untyped_storage().nbytes()  # a few bytes may claim any shape
        for name, value in state.items()
    )
    if not fine or not state:
        raise InputError(
            f"{path} holds no state_dict; expected names, each with a tensor of real numbers"
        )
    return dict(state)
