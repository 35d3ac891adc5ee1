"""Run the parts one after another, each in a process of its own, and write what they find at once.

A part is a generator of table rows, named as module:function and imported in its process alone. It
has a budget in seconds: when that is spent, its process is killed, and the rows that it has yielded
stay. A part that raises is recorded with its traceback. After every row, gpu.json and gpu.md are
written again, so that a run that is cut off leaves what it has found. No part outlives the run.
"""

import faulthandler
import importlib
import json
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from bench.gpu.scale import Scale
from bench.tools.output import table_header, table_row
from models.layers.precision import product_precision

LEAST = 0.1  # share of a part's budget that must be left for it to start
PRELOAD = ["torch", "sklearn.metrics", "bench.gpu.scale", "models.training.fit"]
# torch's first optimiser imports it, in every process. A GPU takes only processes whose parent has
# not touched CUDA, and other versions of torch._dynamo might.
TOY_PRELOAD = ["torch._dynamo"]


@dataclass(frozen=True, slots=True)
class Part:
    """name, module:function, what it answers, and the seconds that it may take."""

    name: str
    target: str
    title: str
    budget: float


@dataclass(slots=True)
class PartResult:
    """What came of a part.

    state   done, failed, cut off, or skipped
    rows    of its table, in order
    reason  why it was skipped or cut off, or the traceback
    """

    name: str
    title: str
    state: str = "skipped"
    seconds: float = 0.0
    rows: list[dict] = field(default_factory=list)
    reason: str = ""

    @property
    def wrong(self) -> bool:
        """Whether it failed, or a check in it did not hold."""
        return self.state == "failed" or any(row.get("ok") is False for row in self.rows)


def run(
    parts: Sequence[Part], scale: Scale, seconds: float, out: Path, machine: dict
) -> list[PartResult]:
    """Run `parts` in order for at most `seconds`, and write gpu.json and gpu.md into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    deadline, results = time.monotonic() + seconds, []
    write(results, machine, out)  # a folder that takes no file shows now
    for part in parts:
        result = PartResult(part.name, part.title)
        results.append(result)
        limit = min(part.budget, deadline - time.monotonic())
        if limit < LEAST * part.budget:
            result.reason = (
                f"the time is spent: {max(limit, 0):.0f} s of {part.budget:.0f} are left"
            )
        else:
            for row in run_part(part, scale, limit, result):
                write(results, machine, out)
                print(f"{part.name}: {line(row)}", flush=True)  # what is on the screen is kept
        print(f"{part.name}: {result.state} in {result.seconds:.1f} s {result.reason}", flush=True)
        write(results, machine, out)
    return results


def run_part(part: Part, scale: Scale, limit: float, result: PartResult) -> Iterator[dict]:
    """Run one part into `result` for at most `limit` seconds; yields every row."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD + (TOY_PRELOAD if scale.toy else []))
    receiver, sender = context.Pipe(duplex=False)
    ended, alive = context.Pipe(duplex=False)  # nothing is sent; it closes when this process ends
    process = context.Process(target=_work, args=(sender, ended, part.target, scale), daemon=False)
    result.state, result.reason = "cut off", "the run was stopped"  # as long as it goes on
    started = time.monotonic()
    process.start()
    sender.close()
    ended.close()
    try:
        while True:
            left = started + limit - time.monotonic()
            if not receiver.poll(max(left, 0)):
                result.state, result.reason = "cut off", f"after {limit:.0f} s, its budget"
                return
            try:
                kind, value = receiver.recv()
            except EOFError:
                kind, value = "failed", "its process was killed"
            result.seconds = round(time.monotonic() - started, 1)
            if kind == "row":
                result.rows.append(value)
                yield value
                continue
            result.state, result.reason = kind, value
            return
    finally:
        result.seconds = round(time.monotonic() - started, 1)
        _kill(process)
        alive.close()


def line(row: dict) -> str:
    """A row as one line of a log."""
    return ", ".join(f"{name} {cell(value)}" for name, value in row.items())


def _work(sender: Connection, caller: Connection, target: str, scale: Scale) -> None:
    faulthandler.enable()  # a crash in a library prints where it was
    os.setsid()  # so that its own processes can be killed with it
    threading.Thread(target=_end_with, args=(caller,), daemon=True).start()
    if scale.toy:
        torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the caller, which kills us
    module, _, function = target.partition(":")
    try:
        # Products are in float32 wherever a part does not ask for less.
        with product_precision("float32"):
            for row in getattr(importlib.import_module(module), function)(scale):
                sender.send(("row", row))
        sender.send(("done", ""))
    except Exception:
        sender.send(("failed", traceback.format_exc()))


def _end_with(caller: Connection) -> None:
    """Kill this process and those that it has started when the caller has ended, however it did."""
    caller.poll(None)
    os.killpg(0, signal.SIGKILL)


def _kill(process: multiprocessing.process.BaseProcess) -> None:
    """Kill the process and those that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()  # it is not yet the leader of its group, or has ended
    process.join()


def write(results: Sequence[PartResult], machine: dict, out: Path) -> None:
    """Replace gpu.json and gpu.md in `out`."""
    tables = {"machine": machine, "parts": [asdict(result) for result in results]}
    for name, text in (
        ("gpu.json", json.dumps(tables, indent=1)),
        ("gpu.md", "\n".join(markdown(results, machine))),
    ):
        scratch = out / f".{name}"
        scratch.write_text(text + "\n", encoding="utf-8")
        scratch.replace(out / name)


def markdown(results: Sequence[PartResult], machine: dict) -> Iterator[str]:
    """A paragraph on the machine, then a table for each part."""
    yield ", ".join(f"{name} {value}" for name, value in machine.items())
    for result in results:
        yield f"\n### {result.title}\n"
        yield f"`--parts {result.name}`: {result.state} in {result.seconds:.1f} s."
        if result.rows:
            names = list(result.rows[0])
            yield "\n" + table_header(names)
            yield from (table_row([cell(row.get(name)) for name in names]) for row in result.rows)
        if result.reason:
            yield f"\n```\n{result.reason.strip()}\n```"


def cell(value: object) -> str:
    """A value of a row for people: five significant digits, yes and no, a dash for None."""
    match value:
        case None:
            return "—"
        case bool():
            return "yes" if value else "no"
        case float() if value and not 1e-3 <= abs(value) < 1e6:
            return f"{value:.2e}"
        case float():
            return f"{value:.5g}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
