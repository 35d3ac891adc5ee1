"""Parts that stand in for those of bench.gpu: some end, some fail, one never ends."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

from bench.gpu.scale import Scale


def two_rows(scale: Scale) -> Iterator[dict]:
    yield {"what": "first", "value": 0.25, "ok": True}
    yield {"what": "second", "value": None, "ok": True}


def wrong_row(scale: Scale) -> Iterator[dict]:
    yield {"what": "sum", "ok": False}


def raises(scale: Scale) -> Iterator[dict]:
    yield {"what": "before"}
    raise RuntimeError("no such kernel")


def never_ends(scale: Scale) -> Iterator[dict]:
    """Its first row has the number of a process that it started."""
    child = subprocess.Popen(["sleep", "600"])
    yield {"child": child.pid}
    time.sleep(600)


def killed(scale: Scale) -> Iterator[dict]:
    yield {"what": "before"}
    os.kill(os.getpid(), signal.SIGKILL)
