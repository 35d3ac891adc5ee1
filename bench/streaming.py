"""Memory and speed of rows streamed from disk and of rows in memory, for growing
numbers of rows.

reads   nothing: it draws rows (bench.tools.challenge_like)
writes  OUT/streaming-<random>/ (25 bytes a row, 87 with columns),
        removed at the end
run     python -m bench.streaming [key=value ...]
        [--rows 1000000,3000000,10000000]
        [--homes stream,host] [--items 10000] [--clock cpu]
        [--out artifacts/bench] [--json]

Each line is a subprocess that trains one epoch on all rows, then computes the
logits of all rows. This measures reading, so the network is small (OVERRIDES
below; typed overrides change it, and train.memory; din.columns=true adds codes
of columns). Memory is the peak of the process after the epoch, and after the
logits: those of all rows are kept, 4 bytes per row, and copied once. On a busy
machine use --clock cpu, the CPU time of all threads of the process.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from bench.tools import challenge_like, output, steps
from bench.tools.numbers import whole_numbers
from bench.tools.subprocess_call import call_in_subprocess
from features.errors import InputError
from models.batches.disk_array import DiskArray
from models.batches.rows import COLUMNS, Rows
from models.batches.stream import StreamRows
from models.layers.columns import Columns
from models.network import Network
from models.training.fit import fit, predict
from pipeline.artifacts import provenance
from pipeline.config import load as load_config
from pipeline.config.settings import Settings
from pipeline.runtime import cli, usage
from pipeline.runtime.compute import prepare_training
from pipeline.training import row_placement

OVERRIDES = [
    "models=din",
    "din.interest=mean",
    "din.mlp.hidden=[32]",
    "din.embedding_dim=8",
    "din.fit.batch_size=16384",
    "din.fit.max_epochs=1",
    "train.device=cpu",
    "train.rows=stream",
    "train.memory=64",
]
HEADER = (
    "train.rows", "rows", "MB on disk", "train rows/s", "inference rows/s", "peak MiB, epoch",
    "peak MiB, all logits", "of it libraries",
)  # fmt: skip
N_HELD = 8192  # rows that the epoch is scored on
CHUNK = 1 << 18  # rows drawn at once
N_CODES = 62  # columns of a row, for networks that read columns


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--rows", default="1000000,3000000,10000000")
    parser.add_argument("--homes", default="stream,host", help="stream, host or both")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--clock", choices=steps.CLOCKS, default="wall")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench"))
    parser.add_argument("--json", action="store_true", help="JSON on stdout, the rest on stderr")
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(a: argparse.Namespace) -> None:
    """Measure every number of rows in every home and print the table."""
    s = load_config.load("sample", [*OVERRIDES, *a.overrides])
    row_placement.check_memory(s, torch.device("cpu"), N_CODES)
    sizes, homes = whole_numbers("--rows", a.rows, N_HELD), a.homes.split(",")
    if a.items < 2 or not {"stream", "host"}.issuperset(homes):
        raise InputError(
            f"--items {a.items} --homes {a.homes}: expected at least 2, and stream, host or both"
        )
    machine, print_text = output.describe_machine(), output.text_printer(a.json)
    heading = f"train.memory={s.train.memory}, {a.items:,} items, {a.clock} clock"
    print_text(f"{heading}; {output.machine_line(machine)}\n")
    print_text(output.table_header(HEADER))
    results, (cfg,) = [], s.networks.values()
    a.out.mkdir(parents=True, exist_ok=True)
    for n_rows in sizes:
        folder = Path(tempfile.mkdtemp(prefix="streaming-", dir=a.out.resolve()))
        try:
            call_in_subprocess(f"{n_rows} rows", write, folder, n_rows, a.items, cfg.columns)
            for home in homes:
                label = f"{n_rows} rows, train.rows={home}"
                figures = call_in_subprocess(label, measure, s, folder, home, a.items, a.clock)
                results.append(figures)
                cells = [f"{v:,.0f}" if v != home else v for v in figures.values()]
                print_text(output.table_row(cells))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if a.json:
        inputs = {"machine": machine, "clock": a.clock, "overrides": list(s.arguments)}
        print(json.dumps(inputs | {"results": results}))


def write(folder: Path, n_rows: int, n_items: int, columns: bool) -> None:
    """Draw a split chunk by chunk and write its arrays, labels and histories into `folder`, and
    the codes of `columns` if it has any."""
    users = histories = entries = 0
    for seed, start in enumerate(range(0, n_rows, CHUNK)):
        size = min(CHUNK, n_rows - start)
        rows, label = challenge_like.rows(size, max_len=64, n_items=n_items, seed=seed)
        offsets = torch.cat((rows.begin[:1], rows.end)) + entries
        arrays = {name: getattr(rows, name) for name in (*COLUMNS, "values")}
        arrays |= {"user": rows.user + users, "history": rows.history + histories}
        arrays |= {"label": label.byte(), "offsets": offsets if start == 0 else offsets[1:]}
        if columns:
            codes = np.random.default_rng(seed).integers(256, size=(size, N_CODES), dtype=np.uint8)
            arrays["codes"] = torch.from_numpy(codes)
        for name, array in arrays.items():
            with (folder / name).open("ab") as file:
                array.numpy().tofile(file)
        users, histories = users + int(rows.user[-1]) + 1, histories + len(rows.begin)
        entries = int(offsets[-1])


def map_arrays(folder: Path) -> SimpleNamespace:
    """The arrays that `write` wrote, memory-mapped."""
    types = dict.fromkeys(("likes", "views", "label"), np.uint8) | {"offsets": np.int64}
    names = (*COLUMNS, "label", "values", "offsets")
    arrays = {n: np.memmap(folder / n, types.get(n, np.int32), "r") for n in names}
    codes = None
    if (folder / "codes").exists():
        codes = np.memmap(folder / "codes", np.uint8, "r", shape=(len(arrays["item"]), N_CODES))
    return SimpleNamespace(**arrays, codes=codes)


def measure(s: Settings, folder: Path, home: str, n_items: int, clock: str) -> dict:
    """The figures of one line, in the order of its cells."""
    prepare_training(s.train.threads)
    libraries, split, (cfg,) = steps.resident_mib(), map_arrays(folder), s.networks.values()
    arguments = split, split.values, split.offsets, n_items, cfg.max_len
    if home == "stream":
        rows = StreamRows.of_split(*arguments, s.train.memory << 20).with_columns(split.codes)
        label = DiskArray.of(split.label)
        held = rows.where(lambda start, stop: np.arange(start, stop) < N_HELD)
        held_label = torch.from_numpy(held.pick(label)).float()
    else:
        rows = Rows.of_split(*arguments).with_columns(split.codes)
        label = torch.from_numpy(np.array(split.label)).float()
        held, held_label = rows.take(torch.arange(N_HELD)), label[:N_HELD]
    torch.manual_seed(0)
    columns = Columns.of_train(rows.codes()) if cfg.columns else None
    n_users = 1 + DiskArray.of(split.user).max()
    network = Network(cfg, challenge_like.items(n_items), n_users, columns)
    now = steps.CLOCKS[clock]
    started = now()
    fit(network, rows, label, held, held_label, cfg.fit, seed=0, score=lambda *_: 0.0)
    trained, epoch_mib = now(), provenance.peak_mib()
    logits = predict(network, rows)
    ended = now()
    assert len(logits) == len(rows)
    return {
        "home": home,
        "rows": len(rows),
        "mb": sum(path.stat().st_size for path in folder.iterdir()) / 1e6,
        "train_rows_per_second": len(rows) / (trained - started),
        "inference_rows_per_second": len(rows) / (ended - trained),
        "epoch_mib": epoch_mib,
        "peak_mib": provenance.peak_mib(),
        "libraries_mib": libraries,
    }


if __name__ == "__main__":
    sys.exit(main())
