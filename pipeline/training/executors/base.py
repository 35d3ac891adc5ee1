"""Where the fits of a run are computed, as train.backend says. They are joblib's tasks.

    serial  in this process, one after another
    loky    in processes of this machine: one a GPU, or one a core
    dask    on the workers of a Dask scheduler, see pipeline.training.executors.dask

Each fit is on one device and has train.threads threads wherever it is, so that all three give the
same bytes. Which process has which GPU: pipeline.runtime.devices.

A process that is killed takes the other running fits of loky with it. What is left begins again,
all together `TOGETHER` times, then one by one: so fits that are too large to run side by side end
all the same, and one that is too large for the machine is known by its name.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import joblib

from features.errors import InputError
from pipeline.config.load import TrainSettings

MAX_PARALLEL_ATTEMPTS = 3  # times that fits begin side by side, before they begin one by one

Tasks = dict[str, tuple]  # arguments, by what a person knows the task by


def run_tasks(
    work: Callable[..., Any],
    tasks: Tasks,
    how: TrainSettings,
    slots: Sequence[str],
    shared: Path,
) -> Iterator[tuple[str, Any]]:
    """Yield the name and result of each of `tasks`, calls of `work`, as they end.

    slots   of this machine, a task each at a time: a GPU's name, or "" for a core (as in
            pipeline.runtime.devices); with one, tasks run in this process
    shared  a folder that the workers of a cluster must see
    Raises what `work` raises, and InputError where processes of a task are killed again and again.
    """
    if how.backend == "dask":
        from pipeline.training.executors import dask  # which takes a second to import

        return dask.run_tasks(work, tasks, how.scheduler, shared)
    if how.backend == "serial" or len(slots) == 1:
        return ((name, work(*arguments)) for name, arguments in tasks.items())
    return _on_loky(work, tasks, slots)


def parallel(work: Callable[..., Any], tasks: Tasks, **how: Any) -> Iterator[tuple[str, Any]]:
    """`spread` by joblib, `how` being its words."""
    run = joblib.Parallel(return_as="generator_unordered", batch_size=1, **how)
    yield from run(joblib.delayed(_named)(name, work, args) for name, args in tasks.items())


def _named(name: str, work: Callable[..., Any], arguments: tuple) -> tuple[str, Any]:
    return name, work(*arguments)


def _on_loky(
    work: Callable[..., Any], tasks: Tasks, slots: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    left = dict(tasks)
    with tempfile.TemporaryDirectory() as locks:
        if any(slots):
            from pipeline.runtime import devices  # which imports torch

            work = functools.partial(devices.on_gpu, slots, Path(locks), work)
        for _ in range(MAX_PARALLEL_ATTEMPTS):
            try:
                for name, result in parallel(work, dict(left), n_jobs=len(slots)):
                    del left[name]
                    yield name, result
                return
            except BrokenProcessPool:
                said = f"{len(left)} of {len(tasks)} fits are left and begin again"
                print(f"a process was killed: {said}; was it for memory?", flush=True)
        for name, arguments in left.items():
            try:  # of two processes one is idle; joblib takes this one where one is asked for
                yield from parallel(work, {name: arguments}, n_jobs=2)
            except BrokenProcessPool:
                raise InputError(
                    f"{name}: its process is killed every time, now with no other beside it; see"
                    " that this machine has memory for it, lower fit.batch_size or data, and run"
                    " the same command again: what is finished is kept"
                ) from None
