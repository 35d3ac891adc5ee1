"""Tasks for the tests of executors, in a module that imports quickly."""

import os
import signal
import time
from pathlib import Path

from features.errors import InputError


def note(folder: Path, name: str, deadly: str = "", always: bool = False) -> str:
    """Record the start in a file; the task `deadly` kills its process, once or always."""
    with (folder / name).open("a") as file:
        file.write("x")
    time.sleep(0.1)
    if name == deadly and (always or (folder / name).stat().st_size == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return name.upper()


def fail() -> None:
    raise InputError("bad input")


def gpu() -> tuple[str, int]:
    """The GPU that this process sees, and its pid."""
    time.sleep(0.1)
    return os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()
