"""What the benches' reports share: where and with what something was measured, tables, output."""

import os
import platform
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from pipeline.artifacts import provenance


def machine() -> dict:
    """Processor, cores, GiB of memory, load before the start, versions and commit."""
    info = Path("/proc/cpuinfo").read_text()
    named = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": named[1] if named else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": version("torch"),
        "commit": provenance.commit(),
    }


def heading(m: dict) -> str:
    """`machine` in a line."""
    return (
        f"{m['processor']}, {m['cores']} cores, {m['memory_gib']} GiB, load {m['load']} at the"
        f" start; CPython {m['python']}, torch {m['torch']}; commit {m['commit']}"
    )


def line(cells: Sequence[object]) -> str:
    """A row of a markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(names: Sequence[str]) -> str:
    """The two lines above a table's rows."""
    return f"{line(names)}\n{line(['---'] * len(names))}"


def talk(json_only: bool) -> Callable[[str], None]:
    """How a bench says what people read: on stderr where stdout is for JSON alone."""
    return lambda text: print(text, file=sys.stderr if json_only else sys.stdout, flush=True)
