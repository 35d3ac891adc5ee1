"""How time and memory of training and inference grow with rows, history length,
items and batch.

reads   nothing: it draws rows in memory (bench.tools.challenge_like)
writes  nothing
run     python -m bench.scaling [key=value ...] [--model qin] [--device cpu]
        [--json]
        [--rows 800000,200000,3200000] [--history ...] [--items ...]
        [--batch ...] [--steps 2] [--clock cpu]

One quantity varies at a time, the others keep their base value, the first of
each list. Each point is a fit in a subprocess: three epochs of --steps steps
on all rows, and inference on up to 8,192 rows. Settings are those of the
profile microlens_1m, with networks of published widths; overrides such as
qin.embedding_dim=32 or train.threads=2 change them.

On a busy machine use --clock cpu, the CPU time of all threads of the process:
wall time would include waiting for other processes. A slope is b in y = a x^b
by least squares: with 1, y is proportional to x; with 0, independent of it.
Its memory is the peak less the libraries'.
"""

import argparse
import dataclasses
import json
import sys
from dataclasses import dataclass

import torch

from bench.tools import challenge_like, output, steps
from bench.tools.numbers import whole_numbers
from bench.tools.slope import slope
from bench.tools.subprocess_call import call_in_subprocess
from features.errors import InputError
from models.network import Network
from models.settings import NetworkSettings
from pipeline.config import load as load_config
from pipeline.config.settings import Settings
from pipeline.runtime import cli, devices, usage
from pipeline.runtime.compute import prepare_training

MAX_HELD_ROWS = 8192  # that inference scores
SWEEP = {  # the base first
    "rows": "800000,200000,3200000",
    "history": "8,4,16,32,64",
    "items": "91718,10000,30000,300000",
    "batch": "2048,512,1024,4096,8192",
}
MINIMUM = {"rows": 4, "history": 1, "items": 2, "batch": 2}
SPEED = ("ms a step", "train rows/s", "inference rows/s")
HEADER = ("varied", *SWEEP, *SPEED, "peak MiB", "of it libraries", "GPU MiB")
SLOPE_FIGURES = {  # name -> y of the slope, from the figures of a point
    "ms a step": lambda m: 1000 * m["step_seconds"],
    "inference ms a row": lambda m: 1000 / m["inference_rows_per_second"],
    "memory": lambda m: m["device_mib"] or m["peak_mib"] - m["libraries_mib"],
}


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One combination of the four quantities."""

    rows: int
    history: int  # items in every history
    items: int  # rows of the item table, including its padding row
    batch: int


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    for quantity, values in SWEEP.items():
        parser.add_argument(f"--{quantity}", default=values, help="comma-separated, the base first")
    parser.add_argument("--model", default="qin")
    parser.add_argument("--device", help="as train.device")
    parser.add_argument("--steps", type=int, default=2, help="in an epoch")
    parser.add_argument("--clock", choices=steps.CLOCKS, default="wall")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, the rest on stderr")
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(a: argparse.Namespace) -> None:
    """Measure all points and print their table, then the slopes."""
    device = [f"train.device={a.device}"] if a.device else []
    s = load_config.load("microlens_1m", [*a.overrides, f"models={a.model}", *device])
    devices.pick_device(s.train.device)
    if a.steps < 1:
        raise InputError(f"--steps = {a.steps} must be at least 1")
    todo = points({quantity: getattr(a, quantity) for quantity in SWEEP}, s.networks[a.model])
    machine, print_text = output.describe_machine(), output.text_printer(a.json)
    heading = f"{a.model}, train.threads={s.train.threads}, {a.clock} clock"
    print_text(f"{heading}; {output.machine_line(machine)}\n")
    print_text(output.table_header(HEADER))
    results = []
    for point, varied in todo.items():
        figures = call_in_subprocess(str(point), measure, s, a.model, point, a.steps, a.clock)
        results.append(dataclasses.asdict(point) | {"varied": varied} | figures)
        print_text(row(results[-1]))
    exponents = slopes(results)
    print_text("\n" + output.table_header(("slope against", *SLOPE_FIGURES)))
    for quantity, by_figure in exponents.items():
        print_text(output.table_row((quantity, *(f"{b:.2f}" for b in by_figure.values()))))
    if a.json:
        inputs = {"machine": machine, "model": a.model, "clock": a.clock}
        inputs["overrides"] = list(s.arguments)
        print(json.dumps(inputs | {"points": results, "slopes": exponents}))


def points(lists: dict[str, str], cfg: NetworkSettings) -> dict[SweepPoint, str]:
    """The base and the other values of each quantity; by point, the quantity that varies."""
    values = {name: whole_numbers(f"--{name}", text, MINIMUM[name]) for name, text in lists.items()}
    if max(values["history"]) > cfg.max_len:
        raise InputError(
            f"--history {max(values['history'])}: the network reads the last {cfg.max_len} items;"
            " raise its max_len"
        )
    if min(values["rows"]) < max(values["batch"]):
        raise InputError(
            f"--rows {min(values['rows'])}: expected at least the largest batch,"
            f" {max(values['batch'])}"
        )
    base = SweepPoint(**{quantity: numbers[0] for quantity, numbers in values.items()})
    varied = {base: "base"}
    for quantity, (first, *others) in values.items():
        for value in sorted(set(others) - {first}):
            varied[dataclasses.replace(base, **{quantity: value})] = quantity
    return varied


def measure(s: Settings, model: str, point: SweepPoint, n_steps: int, clock: str) -> dict:
    """The figures of one point; the peak memory is that of the process that calls this."""
    prepare_training(s.train.threads)
    libraries, device = steps.resident_mib(), devices.pick_device(s.train.device)
    cfg = s.networks[model]
    rows, label = challenge_like.rows(point.rows, cfg.max_len, point.items, point.history)
    rows, label = rows.to(device), label.to(device)
    torch.manual_seed(0)
    network = Network(cfg, challenge_like.items(point.items), int(rows.user.max()) + 1).to(device)
    held_rows = torch.arange(min(point.rows, MAX_HELD_ROWS), device=device)
    fit_cfg = dataclasses.replace(cfg.fit, batch_size=point.batch)
    held, held_label = rows.take(held_rows), label[held_rows]
    measurement = steps.measure(network, rows, label, held, held_label, fit_cfg, n_steps, clock)
    return {"libraries_mib": libraries} | dataclasses.asdict(measurement)


def row(m: dict) -> str:
    """A row of the table, from the figures of a point."""
    sizes = [f"{m[quantity]:,}" for quantity in SWEEP]
    speed = [m["train_rows_per_second"], m["inference_rows_per_second"]]
    step, memory = f"{1000 * m['step_seconds']:,.1f}", [m["peak_mib"], m["libraries_mib"]]
    figures = [step, *(f"{v:,.0f}" for v in (*speed, *memory)), m["device_mib"] or "–"]
    return output.table_row([m["varied"], *sizes, *figures])


def slopes(results: list[dict]) -> dict[str, dict[str, float]]:
    """For each quantity that varies, the exponents of SLOPE_FIGURES; `results` are of points."""
    exponents = {}
    for quantity in SWEEP:
        line = [m for m in results if m["varied"] in ("base", quantity)]
        if len(line) > 1:
            x = [m[quantity] for m in line]
            exponents[quantity] = {
                name: slope(x, [of(m) for m in line]) for name, of in SLOPE_FIGURES.items()
            }
    return exponents


if __name__ == "__main__":
    sys.exit(main())
