"""Where the fits of a run are computed, as train.backend says.

    serial  in this process, one after another
    loky    in processes of this machine: one per GPU, or one per core
    dask    on the workers of a Dask scheduler

Each fit runs on one device with train.threads threads wherever it is, so that all three give the
same bytes. pipeline.runtime.devices decides which process has which GPU.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.settings import TrainSettings
from pipeline.training.executors import local
from pipeline.training.executors.base import Results, Tasks, Work


def run_tasks(
    work: Work, tasks: Tasks, train_cfg: TrainSettings, slots: Sequence[str], shared: Path
) -> Results:
    """Yield the name and result of each of `tasks`, calls of `work`, as they end.

    slots   one entry per GPU (its name) or per core (""), as in pipeline.runtime.devices; each
            runs one task at a time; with a single slot, tasks run in this process
    shared  a folder that the workers of a cluster must see
    Raises what `work` raises, and InputError where a task's process is killed again and again.
    """
    if train_cfg.backend == "dask":
        from pipeline.training.executors import dask  # importing it takes a second

        return dask.run_tasks(work, tasks, train_cfg.scheduler, shared)
    if train_cfg.backend == "serial" or len(slots) == 1:
        return local.run_serial(work, tasks)
    return local.run_loky(work, tasks, slots)
