"""What a training step costs where embedding tables are large: dense updates, and
models.training.large_tables, whose weights are the same bytes.

run     python -m bench.optimiser [--data-set criteo_x1]
        [--models dcn,deepfm,final_2b] [--numbers 2e6,2e7] [--steps 12]
        [--threads 1] [--clock wall|cpu]

Rows are generated: a field has its published vocabulary, scaled so that all
vectors together have so many numbers; values are drawn in proportion to 1 /
rank. Settings are the published ones. The two updates take turns, step by
step, from equal weights; times are medians, factors medians over the turns.

Then two questions about the update and the step: what Adam's steps over rows
that no batch reads cost if several are taken at once, block by block in the
cache; and which operators the rest of a step's time goes to.

--clock cpu counts the process's own time, for a machine that is busy.
"""

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.profiler import ProfilerActivity, profile

from bench.fields.settings import DataSet, data_set, network_settings, networks
from bench.tools.output import (
    describe_machine,
    machine_line,
    quiet_profiler,
    table_header,
    table_row,
)
from bench.tools.steps import CLOCKS
from features.errors import InputError
from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from models.fields.settings import FieldSettings
from models.training.fit import train_step
from models.training.large_tables import LargeTables
from models.training.update import Update, update
from pipeline.runtime import usage
from pipeline.runtime.cli import exit_code
from pipeline.runtime.compute import prepare_training

BATCHES = 8  # different ones, which take turns
WARM_UP = 2  # steps that are not counted
AT_ONCE = (1, 8, 16, 32)  # steps of Adam; 1 passes over the whole table
BLOCK = 1 << 15  # numbers of a block: with gradient and moments 512 KiB
OPERATORS = 8


class Contestant:
    """A network with its optimiser and one way of updating it, dense without `large`; milliseconds
    of each step."""

    def __init__(
        self,
        network: FieldNetwork,
        cfg: FieldSettings,
        large: LargeTables | None,
        clock: Callable[[], float],
    ) -> None:
        self.network, self.cfg, self.large, self.clock = network, cfg, large, clock
        rate = cfg.fit.learning_rate
        self.optimiser = torch.optim.Adam(network.parameters(), lr=rate, fused=True)
        self.step_ms: list[float] = []
        self.update_ms: list[float] = []

    def step(self, batch: FieldRows, label: Tensor) -> None:
        started = self.clock()
        if self.large is None:
            self._step(batch, label, update)
        else:
            with self.large.sparse_gradients():
                self._step(batch, label, self.large.update)
        self.step_ms.append(1e3 * (self.clock() - started))

    def _step(self, batch: FieldRows, label: Tensor, chosen: Update) -> None:
        def timed(*arguments):
            started = self.clock()
            chosen(*arguments)
            self.update_ms.append(1e3 * (self.clock() - started))

        train_step(self.network, batch, label, self.optimiser, self.cfg.fit, timed)


def contest(
    cfg: FieldSettings, of: DataSet, n_numbers: int, n_steps: int, clock: Callable[[], float]
) -> tuple[Contestant, Contestant]:
    """The dense updates and ours after `n_steps` steps each, and WARM_UP before."""
    sizes = scaled(of.data.sizes, n_numbers // cfg.embedding_dim)
    torch.manual_seed(0)
    pair = []
    for is_dense in (True, False):
        network = FieldNetwork(cfg, sizes, len(of.data.numeric)).train()
        if pair:
            network.load_state_dict(pair[0].network.state_dict())
        large = None if is_dense else LargeTables(network, cfg.fit, smallest=1)
        pair.append(Contestant(network, cfg, large, clock))
    batches = list(generated(sizes, len(of.data.numeric), cfg.fit.batch_size))
    for number in range(WARM_UP + n_steps):
        for contestant in pair:
            torch.manual_seed(number)  # of dropout
            contestant.step(*batches[number % BATCHES])
    weights = [contestant.network.parameters() for contestant in pair]
    if not all(torch.equal(a, b) for a, b in zip(*weights, strict=True)):
        raise InputError("the two updates gave different weights; this machine rounds them apart")
    return pair[0], pair[1]


def scaled(sizes: tuple[int, ...], n_rows: int) -> list[int]:
    """Vocabularies in proportion to `sizes`, of about `n_rows` rows together; 3 rows at least."""
    return [max(3, size * n_rows // sum(sizes)) for size in sizes]


def generated(sizes: list[int], n_numeric: int, n: int) -> Iterator[tuple[FieldRows, Tensor]]:
    """BATCHES batches of `n` rows: value k of a field, from 1 on, as often as 1 / k."""
    for _ in range(BATCHES):
        columns = [(torch.rand(n).double() * torch.tensor(s - 1.0).log()).exp() for s in sizes]
        rows = FieldRows(torch.stack(columns, dim=1).long(), torch.rand(n, n_numeric))
        yield rows, (torch.rand(n) < 0.25).float()


def adam_ms(n_numbers: int, at_once: int, clock: Callable[[], float]) -> float:
    """Milliseconds that one step of Adam takes over `n_numbers` numbers whose gradient is L2 alone,
    where `at_once` of them are taken block by block."""
    whole = [torch.randn(n_numbers) * 1e-2, torch.zeros(n_numbers), torch.zeros(n_numbers)]
    blocks = [whole] if at_once == 1 else zip(*(x.split(BLOCK) for x in whole), strict=True)
    repeated = [block for block in blocks for _ in range(at_once)]
    weights, m, v = map(list, zip(*repeated, strict=True))
    zeros = torch.zeros(len(weights[0]))
    gradients = [zeros[: len(w)] for w in weights]
    seconds = []
    for first in range(3):
        steps = [torch.tensor(first * at_once + i % at_once) * 1.0 for i in range(len(weights))]
        started = clock()
        adam(
            weights, gradients, m, v, [], steps, fused=True, amsgrad=False, beta1=0.9, beta2=0.999,
            lr=1e-3, weight_decay=1e-5, eps=1e-8, maximize=False,
        )  # fmt: skip
        seconds.append(clock() - started)
    return 1e3 * min(seconds) / at_once


def operators_ms(
    pair: tuple[Contestant, Contestant], batches: list[tuple[FieldRows, Tensor]]
) -> list[dict]:
    """A row for each of the OPERATORS slowest operators, and for all others together: median
    milliseconds of a step within them, dense and ours, in turns."""
    found: tuple[list[Counter], ...] = ([], [])
    for batch in batches:
        for contestant, steps in zip(pair, found, strict=True):
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                contestant.step(*batch)
            events = profiled.key_averages()
            steps.append(Counter({e.key: e.self_cpu_time_total / 1e3 for e in events}))
    slowest = [name for name, _ in sum(found[0], Counter()).most_common(OPERATORS)]
    rows = {name: [[step[name] for step in steps] for steps in found] for name in slowest}
    rows["others"] = [[s.total() - sum(s[n] for n in slowest) for s in steps] for steps in found]
    return [
        {"operator": name}
        | {w: f"{statistics.median(ms):.1f}" for w, ms in zip(("dense", "ours"), both, strict=True)}
        for name, both in rows.items()
    ]


def figures(name: str, dense: Contestant, ours: Contestant) -> dict:
    """A row of the first table."""
    counted = slice(WARM_UP, None)
    factors = [a / b for a, b in zip(dense.step_ms[counted], ours.step_ms[counted], strict=True)]
    rows = 1e3 * dense.cfg.fit.batch_size
    step, new = (statistics.median(c.step_ms[counted]) for c in (dense, ours))
    update_ms, new_update_ms = (statistics.median(c.update_ms[counted]) for c in (dense, ours))
    return {
        "network": name,
        "parameters": f"{sum(p.numel() for p in dense.network.parameters()):,}",
        "dense step, ms": round(step),
        "its update": round(update_ms),
        "step, ms": round(new),
        "its update, ms": round(new_update_ms),
        "dense rows/s": f"{rows / step:,.0f}",
        "rows/s": f"{rows / new:,.0f}",
        "factor": f"{statistics.median(factors):.2f}",
    }


def table(rows: list[dict]) -> None:
    print(table_header(list(rows[0])))
    for row in rows:
        print(table_row(list(row.values())))
    print(flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("--data-set", default="criteo_x1")
    parser.add_argument("--models", default="dcn,deepfm,final_2b")
    parser.add_argument("--numbers", default="2e6,2e7")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    a = parser.parse_args(argv)
    quiet_profiler()
    return exit_code(lambda: run(a))


def run(a: argparse.Namespace) -> None:
    """Measure, and print the tables. Raises InputError."""
    for option, value in (("--steps", a.steps), ("--threads", a.threads)):
        if value < 1:
            raise InputError(f"{option} = {value} must be at least 1")
    of, clock, numbers = data_set(a.data_set), CLOCKS[a.clock], _numbers(a.numbers)
    prepare_training(a.threads)
    print(machine_line(describe_machine()))
    print(f"{a.data_set}, {a.threads} threads, {a.steps} steps, {a.clock} clock\n", flush=True)
    rows, names = [], networks(a.models)
    for name in names:
        for n in numbers:
            cfg = network_settings(name, of)
            dense, ours = contest(cfg, of, n, a.steps, clock)
            rows.append(figures(name, dense, ours))
    table(rows)
    table([
        {"numbers": f"{n:,}"}
        | {f"{k} at once, ms a step": f"{adam_ms(n, k, clock):.1f}" for k in AT_ONCE}
        for n in numbers
    ])  # fmt: skip
    sizes = scaled(of.data.sizes, numbers[-1] // cfg.embedding_dim)
    batches = list(generated(sizes, len(of.data.numeric), cfg.fit.batch_size))
    print(f"Operators of {names[-1]}, ms a step\n")
    table(operators_ms((dense, ours), batches))


def _numbers(text: str) -> list[int]:
    """Comma-separated numbers such as 2e6. Raises InputError."""
    try:
        found = [int(float(part)) for part in text.split(",")]
    except (ValueError, OverflowError):
        found = []
    if not found or min(found) < 1000:
        raise InputError(f"--numbers {text}: expected numbers from 1000 on, such as 2e6,2e7")
    return found


if __name__ == "__main__":
    sys.exit(main())
