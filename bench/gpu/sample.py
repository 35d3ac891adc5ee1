"""The sample end to end, from raw data to a checked submission, on the CPU and on the GPU.

Both runs go at the same time. Every figure is one that the pipeline has written itself.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.gpu.scale import Scale
from pipeline.config.paths import REPOSITORY

PROFILE = "sample"
LAST = "70_submit"  # 80_report needs matplotlib
TOY = (
    "data.users=300", "data.valid_users=60", "data.test_users=80", "data.items=200", "folds.n=2",
    "models=din", "network.fit.max_epochs=1", "network.embedding_dim=4", "network.content_dim=4",
)  # fmt: skip
# Of valid AUC. A GPU draws other dropout, as another seed does: over three seeds, two fits of a
# network differ by 0.0020 (standard deviation) and by 0.0041 at most; see bench/RESULTS.md.
TOLERANCE = 0.01
ON_GPU = 5  # fits that share the GPU: each of these small ones leaves it idle most of the time


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the pipeline that has ended.

    networks, blenders  their entries in blend.json: cv, the mean AUC of the folds, and valid, the
                        AUC of official valid
    rows_per_second     of training by network, mean of its fits
    seconds             of the whole run
    """

    networks: dict[str, dict]
    blenders: dict[str, dict]
    rows_per_second: dict[str, float]
    seconds: float


def sample(scale: Scale) -> Iterator[dict]:
    """A row per network and blender: cv and valid AUC of both runs, and whether valid agrees.

    Raises RuntimeError with the end of its output where a run fails.
    """
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor() as pool:
        folders = [Path(scratch, side) for side in ("cpu", "device")]
        commands = map(command, (scale, scale), ("cpu", scale.device), folders)
        runs = list(pool.map(run, commands, folders))
    yield from compare(*runs)


def command(scale: Scale, device: str, folder: Path) -> list[str]:
    """The pipeline on one device, with its results below `folder`."""
    cores = len(os.sched_getaffinity(0))
    workers = ON_GPU if device == "cuda" else max(cores - ON_GPU, 1)
    return [
        sys.executable, "-m", "pipeline", PROFILE, "--to", LAST, *(TOY if scale.toy else ()),
        f"train.device={device}", f"train.workers={workers}",
        f"artifacts={folder / 'artifacts'}", f"submissions={folder / 'submissions'}",
    ]  # fmt: skip


def run(arguments: list[str], folder: Path) -> Run:
    """Run the pipeline to its end and read its results below `folder`."""
    started = time.monotonic()
    done = subprocess.run(
        arguments, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seconds = round(time.monotonic() - started, 1)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-3000:]}"
        )
    return read(folder / "artifacts", seconds)


def read(artifacts: Path, seconds: float) -> Run:
    """What 50_train and 60_blend have written below `artifacts`."""
    (path,) = artifacts.glob(f"{PROFILE}/60_blend/blend-*/blend.json")
    blend = json.loads(path.read_text(encoding="utf-8"))
    speeds = {
        name: statistics.fmean(
            json.loads(fit.read_text(encoding="utf-8"))["report"]["rows_per_second"]
            for fit in artifacts.glob(f"{PROFILE}/50_train/{name}-seed*/artifact.json")
        )
        for name in blend["models"]
    }
    return Run(blend["models"], blend["blenders"], speeds, seconds)


def compare(cpu: Run, gpu: Run) -> Iterator[dict]:
    """A row per network, then one per blender."""
    for kind in ("networks", "blenders"):
        ours, theirs = getattr(cpu, kind), getattr(gpu, kind)
        for name in ours:
            distance = abs(theirs[name]["valid"] - ours[name]["valid"])
            yield {
                "score": name,
                "CV, CPU": ours[name]["cv"],
                "CV, GPU": theirs[name]["cv"],
                "valid, CPU": ours[name]["valid"],
                "valid, GPU": theirs[name]["valid"],
                "distance": distance,
                "tolerance": TOLERANCE,
                "train rows/s, CPU": cpu.rows_per_second.get(name),
                "train rows/s, GPU": gpu.rows_per_second.get(name),
                "whole run, CPU, s": cpu.seconds,
                "whole run, GPU, s": gpu.seconds,
                "ok": distance <= TOLERANCE,
            }
