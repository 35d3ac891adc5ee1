"""Which library multiplies float32 matrices fastest on this processor, by width.

reads   nothing
writes  nothing
run     python -m bench.products [--widths 64,128,...] [--rows 1024,8192]
        [--threads 1] [--rounds 5] [--clock wall|cpu]

Each product is that of a linear map of equal widths with its two gradients, in
turns: torch's own, oneDNN's, and both with factors rounded to bfloat16, their
sums and results kept in float32 (torch's "medium"). GFLOP/s are medians of
--rounds; the error is that of the map's output, as a share of its largest
entry in float64. models.layers.precision takes oneDNN from the width WIDE on.
"""

import argparse
import statistics
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.tools.numbers import whole_numbers
from bench.tools.output import describe_machine, machine_line, table_header, table_row
from bench.tools.steps import CLOCKS
from features.errors import InputError
from models.layers.precision import WIDE, OneDnnLinear, product_precision
from pipeline.runtime import usage
from pipeline.runtime.cli import exit_code
from pipeline.runtime.compute import prepare_training

SECONDS = 0.05  # that a round of one library takes at least
PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "torch": lambda x, weight: F.linear(x, weight),
    "oneDNN": lambda x, weight: OneDnnLinear.apply(x, weight, None),
}
LIBRARIES = [(name, rounded) for rounded in (False, True) for name in PRODUCTS]
HEADER = ("width", "rows", *(f"{name}{', medium' * r}, GFLOP/s" for name, r in LIBRARIES),
          "oneDNN / torch", "error, float32", "error, medium")  # fmt: skip


def step(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> Tensor:
    """The output (B, H) of a product, after its gradients to x (B, X) and weight (H, X)."""
    output = product(x, weight)
    torch.autograd.grad(output, (x, weight), output.detach())
    return output.detach()


def measure(
    width: int, rows: int, rounds: int, clock: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """GFLOP/s of each of LIBRARIES, and the largest error of float32 and of rounded factors."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(rows, width, generator=g).requires_grad_()
    weight = torch.randn(width, width, generator=g).requires_grad_()
    exact = (x.double() @ weight.double().T).detach()
    times: list[list[float]] = [[] for _ in LIBRARIES]
    errors = [0.0, 0.0]
    repeats = 1
    for turn in range(rounds + 1):  # the first one warms up, and says how often to repeat
        for i, (name, rounded) in enumerate(LIBRARIES):
            with product_precision("medium" if rounded else "float32"):
                started = clock()
                for _ in range(repeats):
                    output = step(PRODUCTS[name], x, weight)
                seconds = (clock() - started) / repeats
            if turn:
                times[i].append(seconds)
            far = float((output.double() - exact).abs().max() / exact.abs().max())
            errors[rounded] = max(errors[rounded], far)
        repeats = max(repeats, round(SECONDS / seconds))
    work = 3 * 2 * rows * width * width / 1e9  # three products of two operations each
    return [work / statistics.median(seconds) for seconds in times], errors


def measure_all(a: argparse.Namespace) -> None:
    """Print the machine and a row for each width and number of rows."""
    widths, rows = (whole_numbers(f"--{name}", getattr(a, name), 1) for name in ("widths", "rows"))
    for name in ("threads", "rounds"):
        if getattr(a, name) < 1:
            raise InputError(f"--{name} = {getattr(a, name)} must be at least 1")
    prepare_training(a.threads)
    print(machine_line(describe_machine()))
    print(f"{torch.backends.cpu.get_cpu_capability()}, {a.threads} threads; WIDE is {WIDE}\n")
    print(table_header(HEADER), flush=True)
    for n in rows:
        for width in widths:
            rates, errors = measure(width, n, a.rounds, CLOCKS[a.clock])
            cells = (
                width, f"{n:,}", *(f"{rate:.0f}" for rate in rates),
                f"{rates[1] / rates[0]:.2f}", *(f"{error:.1e}" for error in errors),
            )  # fmt: skip
            print(table_row(cells), flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("--widths", default="32,64,128,256,512,1024")
    parser.add_argument("--rows", default="1024,8192")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args(argv)
    return exit_code(lambda: measure_all(arguments))


if __name__ == "__main__":
    sys.exit(main())
