"""Tasks on this machine: in this process, or in processes of joblib's loky.

A process that is killed takes the other running tasks of its pool with it. The unfinished tasks
start again, side by side up to MAX_PARALLEL_ATTEMPTS times, then one by one: tasks that are too
large to run side by side still finish, and the error names a task that is too large for the
machine.
"""

import functools
import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib

from features.errors import InputError
from pipeline.runtime.live import events
from pipeline.training.executors.base import Results, Tasks, Work, call_named

MAX_PARALLEL_ATTEMPTS = 3


def run_serial(work: Work, tasks: Tasks) -> Results:
    """See pipeline.training.executors.dispatch.run_tasks."""
    return (call_named(name, work, arguments) for name, arguments in tasks.items())


def run_loky(
    work: Work,
    tasks: Tasks,
    slots: Sequence[str],
    advice: str = "lower fit.batch_size or data",
) -> Results:
    """See pipeline.training.executors.dispatch.run_tasks. `advice`: what makes a task smaller."""
    unfinished = dict(tasks)
    with tempfile.TemporaryDirectory() as locks:
        if any(slots):
            from pipeline.runtime import devices  # imports torch

            work = functools.partial(devices.on_gpu, slots, Path(locks), work)
        for _ in range(MAX_PARALLEL_ATTEMPTS):
            try:
                for name, result in _pool(work, dict(unfinished), len(slots)):
                    del unfinished[name]
                    yield name, result
                return
            except BrokenProcessPool:
                events.gone()
                message = f"{len(unfinished)} of {len(tasks)} fits are unfinished and start again"
                print(f"a process was killed (for memory?): {message}", flush=True)
        for name, arguments in unfinished.items():
            try:  # n_jobs=2, one of them idle: with 1, joblib would compute in this process
                yield from _pool(work, {name: arguments}, n_jobs=2)
            except BrokenProcessPool:
                raise InputError(
                    f"{name}: its process is killed every time, even with no other beside it; check"
                    f" that this machine has memory for it, {advice}, and run the same command"
                    " again: finished fits are kept"
                ) from None


def _pool(work: Work, tasks: Tasks, n_jobs: int) -> Results:
    run = joblib.Parallel(return_as="generator_unordered", batch_size=1, n_jobs=n_jobs)
    yield from run(joblib.delayed(call_named)(name, work, args) for name, args in tasks.items())
