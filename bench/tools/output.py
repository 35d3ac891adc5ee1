"""What the benchmarks print: the machine, Markdown tables, and text beside JSON."""

import os
import platform
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from pipeline.artifacts import provenance


def describe_machine() -> dict:
    """Processor, cores, GiB of memory, load before the start, versions and commit."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model_name = re.search(r"^model name\s*:\s*(.+)$", cpu_info, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model_name[1] if model_name else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": version("torch"),
        "commit": provenance.commit(),
    }


def machine_line(machine: dict) -> str:
    """`describe_machine` on one line."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" load {machine['load']} at the start; CPython {machine['python']},"
        f" torch {machine['torch']}; commit {machine['commit']}"
    )


def quiet_profiler() -> None:
    """Keep the lines that torch's profiler logs off the screen; before this process imports it."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def table_row(cells: Sequence[object]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def table_header(names: Sequence[str]) -> str:
    """The two lines above the rows of a Markdown table."""
    return f"{table_row(names)}\n{table_row(['---'] * len(names))}"


def mean_and_sd(values: list[float], digits: int, sign: str = "") -> str:
    """Mean ± sample standard deviation; a single value stands alone."""
    mean = f"{statistics.fmean(values):{sign}.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def text_printer(json_on_stdout: bool) -> Callable[[str], None]:
    """A function that prints text: on stderr where stdout is for JSON alone."""
    return lambda text: print(text, file=sys.stderr if json_on_stdout else sys.stdout, flush=True)
