"""The arguments of 90_score, and which of them go together."""

import re
from dataclasses import dataclass
from pathlib import Path

from features.errors import InputError
from features.outputs import refuse_input
from features.store.schema import levels_beside
from pipeline.config.choices import DEVICES

FORMATS = ("fuxictr", "ours")
PUBLISHED = ("qin", "din", "final", "transformer_dcn")  # networks that --latency may name
ENDINGS = (".csv", ".parquet")  # of --out
TASKS = ("out", "export", "latency")
NETWORK = ("checkpoint", "format", "items")
READ = {  # task -> the arguments that it requires, and those that it may have besides
    "out": ((*NETWORK, "rows"), ("settings",)),
    "out, of a run": (("run", "rows"), ()),
    "export": (NETWORK, ("settings",)),
    "latency": (NETWORK, ("settings", "history")),
    "latency, of random weights": ((), ("history",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreArgs:
    """The command line of 90_score. One of `out`, `export` and `latency` is set: the task."""

    run: str | None
    checkpoint: Path | None
    format: str | None
    settings: Path | None
    rows: Path | None
    items: Path | None
    out: Path | None
    export: Path | None
    latency: list[str] | None  # names of networks with random weights; empty: all of them
    history: int | None
    device: str


def check(args: ScoreArgs) -> None:
    """Raise InputError for arguments that cannot work, before any file is read."""
    task = next(name for name in TASKS if getattr(args, name) is not None)
    random_weights = task == "latency" and args.checkpoint is None
    kind = "out, of a run" if task == "out" and args.run is not None else task
    required, optional = READ["latency, of random weights" if random_weights else kind]
    names = ("run", *NETWORK, "rows", "settings", "history")
    present = {name for name in names if getattr(args, name) is not None}
    missing = ", ".join(f"--{name}" for name in required if name not in present)
    unread = ", ".join(f"--{name}" for name in sorted(present - {*required, *optional}))
    of_run = " with --run" if kind != task else ""
    if missing:
        or_run = ", or --run and --rows" if task == "out" and not of_run else ""
        raise InputError(f"--{task}{of_run} needs {missing}{or_run}")
    if unread:
        without_checkpoint = " without --checkpoint" if random_weights else ""
        raise InputError(f"--{task}{of_run} does not read {unread}{without_checkpoint}")
    if args.format == "fuxictr" and args.settings is None:
        raise InputError("--format fuxictr needs --settings, the JSON of its hyperparameters")
    if args.format == "ours" and args.settings is not None:
        raise InputError("--settings goes with --format fuxictr; ours stand beside the checkpoint")
    check_values(args)


def check_values(args: ScoreArgs) -> None:
    levels = [] if args.items is None else levels_beside(args.items)
    inputs = (args.checkpoint, args.settings, args.rows, args.items, *levels)
    for option, output in (("--out", args.out), ("--export", args.export)):
        if output is not None:
            refuse_input(output, inputs, option)
    if args.out is not None and args.out.suffix not in ENDINGS:
        raise InputError(f"--out {args.out} must end in {' or '.join(ENDINGS)}")
    if args.export is not None and args.export.exists():
        raise InputError(f"--export {args.export} is there already; remove it, or name another")
    if args.latency and args.checkpoint is not None:
        raise InputError(f"--latency {' '.join(args.latency)}: no names beside --checkpoint")
    if args.history is not None and args.history < 0:
        raise InputError(f"--history {args.history} must be 0 or more")
    if not re.fullmatch(DEVICES, args.device):
        raise InputError(f"--device {args.device} must be auto, cpu, cuda or cuda:<n>")
    if args.out is None and args.device not in ("auto", "cpu"):
        raise InputError(f"--device {args.device}: --export and --latency run on the CPU")
