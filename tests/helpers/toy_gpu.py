"""bench.gpu at toy sizes, as a user types it."""

import sys
from pathlib import Path

from bench.gpu.parts import PARTS

NAMES = [part.name for part in PARTS if part.name != "sample"]  # it runs the pipeline: a minute


def command(out: Path, *names: str) -> list[str]:
    """All parts but the sample where `names` are none; results go to `out`."""
    parts = ",".join(names or NAMES)
    return [sys.executable, "-m", "bench.gpu", "--toy", "--parts", parts, "--out", str(out)]
