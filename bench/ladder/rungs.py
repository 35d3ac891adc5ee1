"""The rungs, in their order: declare one here, and `python -m bench.ladder` measures it.

A network's rungs are cumulative: each adds its change to those of the kept rungs before it. A rung
that was dropped stays in the table; the rungs after it branch off the last kept one. The rung
"published" is the network's own TOML as its paper has it, in the profile's place.

To keep a rung, set `kept`; to drop one, take it away. Its place decides on what it is measured.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from features.errors import InputError
from pipeline.config.nearest import THERE_ARE, near
from pipeline.config.networks import paper_settings
from pipeline.config.tables import flat

REFUSED = ("item_levels", "codes", "listwise")  # by rules=strict
AS_PAPER = {"qin": {"qnn.bank": "full", "fit.precision": "float32"}}  # where its TOML departs


@dataclass(frozen=True, slots=True)
class Rung:
    """One change of a network.

    overrides  what the change is, as typed for a run: qin.asta.weights=softmax
    kept       whether the rungs after it have the change too
    """

    name: str
    change: str
    network: str
    overrides: tuple[str, ...] = ()
    kept: bool = False

    @property
    def label(self) -> str:
        """What --rungs and the tables call it."""
        return f"{self.network}/{self.name}"


def published(model: str) -> tuple[str, ...]:
    """Every setting that the network reads as its paper has it, so that no profile changes it."""
    network = paper_settings(model)
    values = flat(asdict(network)) | AS_PAPER.get(model, {})
    return tuple(f"{model}.{k}={_typed(v)}" for k, v in values.items() if network.reads(k))


def _typed(value: object) -> str:
    """A setting's value as it is typed."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_typed, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def common(model: str, first: Sequence[str] = (), kept: Sequence[str] = ()) -> tuple[Rung, ...]:
    """Changes that every network takes; those named in `first` come first, in that order."""

    def rung(name: str, change: str, *settings: str) -> Rung:
        own = tuple(s if s.startswith("prepare.") else f"{model}.{s}" for s in settings)
        return Rung(name, change, model, own, name in kept)

    changes = (
        rung("item_levels", "levels of history items", "item_levels=true"),
        rung("codes", "semantic codes", "item_codes=true", "prepare.codes=3"),
        rung("wide", "width 64", "embedding_dim=64", "content_dim=64"),
        rung("content", "content at its own width", "content_dim=0"),
        rung("batch512", "batches of 512 rows", "fit.batch_size=512"),
        rung("batch4096", "batches of 4,096 rows", "fit.batch_size=4096"),
        rung("l2_weak", "L2 of 1e-6", "fit.embedding_l2=1e-6"),
        rung("l2_strong", "L2 of 1e-3", "fit.embedding_l2=1e-3"),
        rung("max_len16", "16 history items", "max_len=16"),
        rung("max_len100", "100 history items", "max_len=100"),
        rung("focal", "focal loss", "fit.loss=focal"),
        rung("listwise", "listwise loss", "fit.loss=listwise"),
        rung("smoothing", "label smoothing 0.1", "fit.label_smoothing=0.1"),
        rung("item_dropout2", "dropout of item ids 0.2", "fit.item_dropout=0.2"),
        rung("item_dropout5", "dropout of item ids 0.5", "fit.item_dropout=0.5"),
        rung("item_dropout9", "dropout of item ids 0.9", "fit.item_dropout=0.9"),
        rung("ema", "averaged weights 0.999", "fit.ema=0.999"),
        rung("rate_low", "a learning rate of 5e-4", "fit.learning_rate=5e-4"),
        rung("rate_high", "a learning rate of 4e-3", "fit.learning_rate=4e-3"),
        rung("warmup", "learning rate rises for 200 steps", "fit.warmup_steps=200"),
    )
    order = {name: place for place, name in enumerate(first)}
    return tuple(sorted(changes, key=lambda one: order.get(one.name, len(order))))


def prefixes(model: str) -> tuple[Rung, ...]:
    """Earlier items of the histories as rows to train on."""
    return (
        Rung("prefixes3", "the last 3 prefixes train", model, (f"{model}.fit.prefixes=3",)),
        Rung("prefixes6", "the last 6 prefixes train", model, (f"{model}.fit.prefixes=6",)),
    )


def columns(model: str) -> tuple[Rung, ...]:
    """The columns of 30_features as inputs."""
    width = f"{model}.column_parts.width"
    alone = (f"{model}.columns=true", f"{width}=0")
    return (
        Rung("columns", "columns of 30_features", model, alone, True),
        Rung("column_parts", "a hidden layer over them", model, (f"{width}=64",), True),
        Rung("parts_wide", "the same, 256 wide", model, (f"{width}=256",)),
    )


def column_prefixes(model: str) -> tuple[Rung, ...]:
    """Prefixes beside the columns."""
    six = f"{model}.fit.prefixes=6"
    return (
        Rung("columns_prefixes", "the last 6 prefixes train", model, (six,)),
        Rung(
            "decay",
            "the same, older ones weigh less",
            model,
            (six, f"{model}.fit.prefix_decay=0.7"),
        ),
    )


LADDER = (
    Rung("published", "sizes and training of the organisers' baseline", "din", published("din")),
    Rung("profile", "sizes and training of the profile", "din", (), True),
    Rung("softmax", "softmax over the history", "din", ("din.din.softmax=true",)),
    *prefixes("din"),
    *columns("din"),
    *column_prefixes("din"),
    *common("din"),
    Rung("published", "sizes, bank and training of the paper", "qin", published("qin")),
    Rung("profile", "sizes and training of the profile", "qin", (), True),
    Rung("sigmoid", "sigmoid of scores", "qin", ("qin.asta.weights=sigmoid",)),
    Rung("silu", "SiLU of scores", "qin", ("qin.asta.weights=silu",)),
    Rung("relu2", "ReLU² of scores", "qin", ("qin.asta.weights=relu2",)),
    Rung("relu_offset", "ReLU with a learned offset", "qin", ("qin.asta.weights=relu_offset",)),
    Rung("softmax", "softmax over the history", "qin", ("qin.asta.weights=softmax",), True),
    *prefixes("qin"),
    *columns("qin"),
    *(
        Rung(
            f"qnn_dropout{tenths}",
            f"dropout 0.{tenths} in the quadratic network",
            "qin",
            (f"qin.qnn.dropout=0.{tenths}",),
            tenths == 5,
        )
        for tenths in (3, 5, 7)
    ),
    *common("qin", ("item_dropout5", "item_levels", "ema", "l2_strong"), ("ema", "l2_strong")),
    Rung("position", "learned bias of positions", "qin", ("qin.asta.position=true",)),
    Rung("attention_dropout", "attention dropout 0.1", "qin", ("qin.asta.dropout=0.1",)),
    *column_prefixes("qin"),
    Rung("profile", "softmax alone, as rules=strict allows", "qin_softmax", (), True),
    *(rung for rung in common("qin_softmax") if rung.name not in REFUSED),
)


def base(rung: Rung, ladder: Sequence[Rung] = LADDER) -> Rung | None:
    """The rung that `rung` changes: the last kept one before it, or else the network's first."""
    before = _before(rung, ladder)
    return next((one for one in reversed(before) if one.kept), before[0] if before else None)


def overrides(rung: Rung, ladder: Sequence[Rung] = LADDER) -> tuple[str, ...]:
    """What is typed for a run at `rung`: of the kept rungs before it, then its own."""
    typed: dict[str, str] = {}
    for one in (*(one for one in _before(rung, ladder) if one.kept), rung):
        typed |= {override.partition("=")[0]: override for override in one.overrides}
    return tuple(typed.values())


def _before(rung: Rung, ladder: Sequence[Rung]) -> list[Rung]:
    return [one for one in ladder[: ladder.index(rung)] if one.network == rung.network]


def chosen(text: str, ladder: Sequence[Rung] = LADDER) -> list[Rung]:
    """The rungs of --rungs, in their order: a network's all, or one, such as qin/softmax."""
    if not text:
        return list(ladder)
    names = text.split(",")
    known = [*dict.fromkeys(rung.network for rung in ladder), *(rung.label for rung in ladder)]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"--rungs: no {unknown[0]!r}{near(unknown[0], known)}{THERE_ARE}{', '.join(known)}"
        )
    return [rung for rung in ladder if {rung.network, rung.label} & {*names}]
