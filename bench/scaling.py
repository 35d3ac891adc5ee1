"""How time and memory of training and inference grow with rows, history length, items and batch.

reads   nothing: rows are drawn in memory, four of them to a user and to a history
writes  nothing
run     python -m bench.scaling [key=value ...] [--model qin] [--device cpu] [--json]
        [--rows 800000,200000,3200000] [--history ...] [--items ...] [--batch ...] [--steps 2]
        [--clock cpu]

One quantity is varied at a time around a base, the first of each list. A point is a fit in a
process of its own: three epochs of --steps steps on all rows, and inference on up to 8,192 rows in
batches of their own. Settings are those of the profile microlens_1m, networks at published widths;
words change them, such as qin.embedding_dim=32 or train.threads=2.

On a busy machine --clock cpu counts the CPU time of the process, of all its threads together; the
wall's clock would say how busy the others are. A slope is b in y = a x^b by least squares: 1 is
proportional, 0 is free of the quantity. Memory of a slope is what the peak has over the libraries.
"""

import argparse
import dataclasses
import json
import signal
import sys
from dataclasses import dataclass

import numpy as np
import torch

from bench import challenge_like, report, steps
from bench.alone import alone
from features.errors import InputError
from models.network import Network
from models.settings import NetworkSettings
from pipeline.config import load as load_config
from pipeline.config.settings import Settings
from pipeline.runtime import cli, devices

JUDGED = 8192  # rows of inference, at most
SWEEP = {  # the base first
    "rows": "800000,200000,3200000",
    "history": "8,4,16,32,64",
    "items": "91718,10000,30000,300000",
    "batch": "2048,512,1024,4096,8192",
}
SMALLEST = {"rows": 4, "history": 1, "items": 2, "batch": 2}
SPEED = ("ms a step", "train rows/s", "inference rows/s")
HEAD = ("varied", *SWEEP, *SPEED, "peak MiB", "of it libraries", "GPU MiB")
COLUMNS = {  # of the table -> what a slope is of
    "ms a step": lambda m: 1000 * m["step_seconds"],
    "inference ms a row": lambda m: 1000 / m["inference_rows_per_second"],
    "memory": lambda m: m["device_mib"] or m["peak_mib"] - m["libraries_mib"],
}


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of the four quantities; every history has `history` items."""

    rows: int
    history: int
    items: int  # rows of the item table, its padding row among them
    batch: int


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="key=value")
    for quantity, values in SWEEP.items():
        parser.add_argument(f"--{quantity}", default=values, help="comma-separated, the base first")
    parser.add_argument("--model", default="qin")
    parser.add_argument("--device", help="as train.device")
    parser.add_argument("--steps", type=int, default=2, help="of an epoch")
    parser.add_argument("--clock", choices=steps.CLOCKS, default="wall")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, the rest on stderr")
    arguments = parser.parse_intermixed_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return cli.exit_code(lambda: work(arguments))


def work(a: argparse.Namespace) -> None:
    device = [f"train.device={a.device}"] if a.device else []
    s = load_config.load("microlens_1m", [*a.words, f"models={a.model}", *device])
    devices.pick_device(s.train.device)
    if a.steps < 1:
        raise InputError(f"--steps = {a.steps} must be at least 1")
    todo, say = points({q: getattr(a, q) for q in SWEEP}, s.networks[a.model]), report.talk(a.json)
    machine = report.machine()
    say(f"{a.model}, train.threads={s.train.threads}, {a.clock} clock; {report.heading(machine)}\n")
    say(report.head(HEAD))
    measured = []
    for point, varied in todo.items():
        found = alone(str(point), measure, s, a.model, point, a.steps, a.clock)
        measured.append(dataclasses.asdict(point) | {"varied": varied} | found)
        say(row(measured[-1]))
    found = slopes(measured)
    say("\n" + report.head(("slope against", *COLUMNS)))
    for quantity, of in found.items():
        say(report.line((quantity, *(f"{b:.2f}" for b in of.values()))))
    if a.json:
        given = {"machine": machine, "model": a.model, "clock": a.clock, "words": list(s.arguments)}
        print(json.dumps(given | {"points": measured, "slopes": found}))


def points(lists: dict[str, str], s: NetworkSettings) -> dict[Point, str]:
    """The base, then the other values of each quantity, with the name of what is varied."""
    values = {quantity: _numbers(quantity, text) for quantity, text in lists.items()}
    if max(values["history"]) > s.max_len:
        raise InputError(
            f"--history {max(values['history'])}: the network reads the last {s.max_len} items;"
            " raise its max_len"
        )
    if min(values["rows"]) < max(values["batch"]):
        raise InputError(
            f"--rows {min(values['rows'])}: expected at least the largest batch,"
            f" {max(values['batch'])}"
        )
    base = Point(**{quantity: of[0] for quantity, of in values.items()})
    made = {base: "base"}
    for quantity, of in values.items():
        others = sorted(set(of) - {of[0]})
        made |= {dataclasses.replace(base, **{quantity: value}): quantity for value in others}
    return made


def _numbers(quantity: str, text: str) -> list[int]:
    parts, least = text.split(","), SMALLEST[quantity]
    values = [int(part) if part.strip().isdigit() else 0 for part in parts]
    if min(values) < least:
        raise InputError(f"--{quantity} {text}: expected numbers of at least {least}, as in 8,16")
    return values


def measure(s: Settings, model: str, point: Point, n_steps: int, clock: str) -> dict:
    """The figures of one point, in a process of its own."""
    torch.set_num_threads(s.train.threads)
    libraries, device = steps.resident_mib(), devices.pick_device(s.train.device)
    network = s.networks[model]
    rows, label = challenge_like.rows(point.rows, network.max_len, point.items, point.history)
    rows, label = rows.to(device), label.to(device)
    torch.manual_seed(0)
    made = Network(network, challenge_like.items(point.items), int(rows.user.max()) + 1).to(device)
    judged = torch.arange(min(point.rows, JUDGED), device=device)
    fit = dataclasses.replace(network.fit, batch_size=point.batch)
    held, held_label = rows.take(judged), label[judged]
    found = steps.measure(made, rows, label, held, held_label, fit, n_steps, clock)
    return {"libraries_mib": libraries} | dataclasses.asdict(found)


def row(m: dict) -> str:
    """A line of the table."""
    sizes = [f"{m[quantity]:,}" for quantity in SWEEP]
    speed = [m["train_rows_per_second"], m["inference_rows_per_second"]]
    step, memory = f"{1000 * m['step_seconds']:,.1f}", [m["peak_mib"], m["libraries_mib"]]
    figures = [step, *(f"{v:,.0f}" for v in (*speed, *memory)), m["device_mib"] or "–"]
    return report.line([m["varied"], *sizes, *figures])


def slopes(measured: list[dict]) -> dict[str, dict[str, float]]:
    """For each quantity that was varied, the exponent of each of COLUMNS; the base is first."""
    found = {}
    for quantity in SWEEP:
        of = [m for m in measured if m["varied"] in ("base", quantity)]
        if len(of) > 1:
            x = np.log([m[quantity] for m in of])
            y = {name: np.log([column(m) for m in of]) for name, column in COLUMNS.items()}
            found[quantity] = {name: float(np.polyfit(x, v, 1)[0]) for name, v in y.items()}
    return found


if __name__ == "__main__":
    sys.exit(main())
