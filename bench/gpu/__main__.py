"""Check and measure a GPU, in one run of at most --minutes.

reads   nothing: rows are generated; --store and --folds add scores on real
        rows
writes  OUT/gpu.json and OUT/gpu.md, again after every row that a part finds
run     python -m bench.gpu [--out artifacts/bench/gpu] [--minutes 8]
        [--parts networks,epochs] [--wheels DIR] [--store DIR --folds DIR]
        [--toy] [--dry-run]

The parts, their budgets and what each measures: docs/performance.md. Exit code
1 says that a part failed or a check did not hold; parts that ran out of time
do not count. Ctrl-C and `kill` end the run with 130, and its files stay.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from features.errors import InputError
from features.outputs import refuse_input
from pipeline.runtime import signals, usage


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench/gpu"))
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together (8)")
    parser.add_argument(
        "--parts", default="", help="comma-separated, in this order; name=20 sets seconds"
    )
    parser.add_argument("--wheels", type=Path, help="packages to install, as bench.gpu.wheels made")
    parser.add_argument("--store", type=Path, help="folder of 10_prepare, for scores on real rows")
    parser.add_argument("--folds", type=Path, help="folder of 20_folds on that store")
    parser.add_argument("--toy", action="store_true", help="toy sizes, on the CPU")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would run and be carried"
    )
    arguments = parser.parse_args(argv)
    try:
        return run(arguments)
    except (InputError, OSError) as error:  # OSError: OUT may not be written, or the disk is full
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt):  # a second signal, while it prints
            print("interrupted: the rows found so far are kept", file=sys.stderr)
        return 130


def run(arguments: argparse.Namespace) -> int:
    """Check the arguments, install the wheels, run the parts and print the last line."""
    from bench.gpu import runner, wheels
    from bench.gpu.parts import choose
    from bench.gpu.scale import TOY_SCALE, Scale
    from bench.tools.output import quiet_profiler

    parts = choose(arguments.parts)
    if not arguments.minutes > 0:
        raise InputError(f"--minutes: got {arguments.minutes:g}, expected more than 0")
    check_store(arguments.store, arguments.folds)
    refuse_input(arguments.out, [arguments.store, arguments.folds, arguments.wheels])
    if arguments.dry_run:
        for part in parts:
            print(f"{part.name:<16} {part.budget:>4.0f} s  {part.title}")
        for line in wheels.travel(arguments.wheels, arguments.store, arguments.folds):
            print(line)
        return 0
    quiet_profiler()
    import torch

    if not arguments.toy and not torch.cuda.is_available():
        raise InputError("torch sees no CUDA device here; --toy runs every part at toy sizes")
    scale = replace(
        TOY_SCALE if arguments.toy else Scale(),
        store=arguments.store, folds=arguments.folds, wheels=arguments.wheels,
    )  # fmt: skip
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as packages:  # they are large: not in the results
        if arguments.wheels is not None:
            os.environ |= wheels.install(arguments.wheels, Path(packages))
        results = runner.run(
            parts, scale, 60 * arguments.minutes, arguments.out, machine(scale.torch_device)
        )
    states = [result.state for result in results]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    wrong = [result.name for result in results if result.wrong]
    print(
        f"gpu: parts {counts}; {'wrong: ' + ', '.join(wrong) if wrong else 'all checks hold'};"
        f" {time.monotonic() - started:.0f} s; {arguments.out / 'gpu.md'}"
    )
    return 1 if wrong else 0


def check_store(store: Path | None, folds: Path | None) -> None:
    """Raises InputError unless the part `real` can read both, or there is neither."""
    import numpy as np

    from features.store.store import open_store

    if (store is None) != (folds is None):
        raise InputError("--store and --folds belong together: give both, or neither")
    if store is None or folds is None:
        return
    n_rows, path = len(open_store(store).train), folds / "fold.npy"
    try:
        n_folds = len(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError(f"--folds: {path}: {error}; give a folder that 20_folds wrote") from None
    if n_folds != n_rows:
        raise InputError(
            f"--folds: {path} has {n_folds} rows, expected the {n_rows} train rows of {store}: give"
            " the folds of that store"
        )


def machine(device) -> dict:
    """The card, the processor and the versions."""
    import torch

    from bench.tools.output import describe_machine

    described = describe_machine()
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        described = {
            "card": card.name,
            "card_gib": round(card.total_memory / 2**30),
            "capability": f"{card.major}.{card.minor}",
            "cuda": torch.version.cuda,
        } | described
    return described


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signals.OncePerBurst())  # `kill` and `timeout` send it
    sys.exit(main())
