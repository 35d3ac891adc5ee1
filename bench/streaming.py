"""Memory and speed of rows that are streamed from disk, beside rows in memory, as rows grow.

reads   nothing: rows are drawn, four of them to a user and to a history (bench.challenge_like)
writes  OUT/streaming-<random>/ (25 bytes a row), removed at the end
run     python -m bench.streaming [key=value ...] [--rows 1000000,3000000,10000000]
        [--homes stream,host] [--items 10000] [--clock cpu] [--out artifacts/bench] [--json]

A line is a fit of one epoch on all rows, then the logits of all rows, in a process of its own. Only
the reading is of interest, so the network is small (NETWORK below; words change it, and
train.memory). Memory is the peak of the process by the end of the epoch, and by the end of all: the
logits of all rows are kept, 4 bytes a row, and copied once. On a busy machine --clock cpu counts
the CPU time of the process, of all its threads together.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from bench import challenge_like, report, steps
from bench.alone import alone
from features.errors import InputError
from models.batches.disk_array import DiskArray
from models.batches.rows import COLUMNS, Rows
from models.batches.stream import StreamRows
from models.network import Network
from models.training.fit import fit, predict
from pipeline.artifacts import provenance
from pipeline.config import load as load_config
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.training import row_placement

NETWORK = [
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
HEAD = (
    "train.rows", "rows", "MB on disk", "train rows/s", "inference rows/s", "peak MiB, epoch",
    "peak MiB, all logits", "of it libraries",
)  # fmt: skip
JUDGED = 8192  # rows that the epoch is judged on
CHUNK = 1 << 18  # rows drawn at once


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="key=value")
    parser.add_argument("--rows", default="1000000,3000000,10000000")
    parser.add_argument("--homes", default="stream,host", help="of stream and host")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--clock", choices=steps.CLOCKS, default="wall")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench"))
    parser.add_argument("--json", action="store_true", help="JSON on stdout, the rest on stderr")
    arguments = parser.parse_intermixed_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return cli.exit_code(lambda: work(arguments))


def work(a: argparse.Namespace) -> None:
    s = load_config.load("sample", [*NETWORK, *a.words])
    row_placement.check_memory(s, torch.device("cpu"))
    sizes = [int(part) if part.strip().isdigit() else 0 for part in a.rows.split(",")]
    homes = a.homes.split(",")
    if min(sizes) < JUDGED or a.items < 2 or not {"stream", "host"}.issuperset(homes):
        raise InputError(
            f"--rows {a.rows} --items {a.items} --homes {a.homes}: expected numbers of at least"
            f" {JUDGED}, at least 2, and stream, host or both"
        )
    machine, say = report.machine(), report.talk(a.json)
    how = f"train.memory={s.train.memory}, {a.items:,} items, {a.clock} clock"
    say(f"{how}; {report.heading(machine)}\n")
    say(report.head(HEAD))
    measured = []
    a.out.mkdir(parents=True, exist_ok=True)
    for n_rows in sizes:
        folder = Path(tempfile.mkdtemp(prefix="streaming-", dir=a.out.resolve()))
        try:
            alone(f"{n_rows} rows", write, folder, n_rows, a.items)
            for home in homes:
                what = f"{n_rows} rows, train.rows={home}"
                measured.append(alone(what, measure, s, folder, home, a.items, a.clock))
                say(report.line(f"{v:,.0f}" if v != home else v for v in measured[-1].values()))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if a.json:
        given = {"machine": machine, "clock": a.clock, "words": list(s.arguments)}
        print(json.dumps(given | {"measured": measured}))


def write(folder: Path, n_rows: int, n_items: int) -> None:
    """The arrays of a store's split, its labels and its histories, drawn a chunk at a time."""
    users = histories = entries = 0
    for seed, start in enumerate(range(0, n_rows, CHUNK)):
        size = min(CHUNK, n_rows - start)
        rows, label = challenge_like.rows(size, max_len=64, n_items=n_items, seed=seed)
        offsets = rows.offsets + entries
        arrays = {name: getattr(rows, name) for name in (*COLUMNS, "values")}
        arrays |= {"user": rows.user + users, "history": rows.history + histories}
        arrays |= {"label": label.byte(), "offsets": offsets if start == 0 else offsets[1:]}
        for name, array in arrays.items():
            with (folder / name).open("ab") as file:
                array.numpy().tofile(file)
        users, histories = users + int(rows.user[-1]) + 1, histories + len(rows.offsets) - 1
        entries = int(offsets[-1])


def mapped(folder: Path) -> SimpleNamespace:
    """The arrays of `write`."""
    types = dict.fromkeys(("likes", "views", "label"), np.uint8) | {"offsets": np.int64}
    names = (*COLUMNS, "label", "values", "offsets")
    arrays = {n: np.memmap(folder / n, types.get(n, np.int32), "r") for n in names}
    return SimpleNamespace(**arrays)


def measure(s: Settings, folder: Path, home: str, n_items: int, clock: str) -> dict:
    """The figures of one line, in its order."""
    torch.set_num_threads(s.train.threads)
    libraries, of, (network,) = steps.resident_mib(), mapped(folder), s.networks.values()
    given = of, of.values, of.offsets, n_items, network.max_len
    if home == "stream":
        rows, label = StreamRows.of_split(*given, s.train.memory << 20), DiskArray.of(of.label)
        held = rows.where(lambda start, stop: np.arange(start, stop) < JUDGED)
        held_label = torch.from_numpy(held.pick(label)).float()
    else:
        rows, label = Rows.of_split(*given), torch.from_numpy(np.array(of.label)).float()
        held, held_label = rows.take(torch.arange(JUDGED)), label[:JUDGED]
    torch.manual_seed(0)
    made = Network(network, challenge_like.items(n_items), 1 + DiskArray.of(of.user).max())
    now = steps.CLOCKS[clock]
    started = now()
    fit(made, rows, label, held, held_label, network.fit, seed=0, score=lambda *_: 0.0)
    trained, epoch_mib = now(), provenance.peak_mib()
    logits = predict(made, rows)
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
