"""train.backend=dask: tasks on the workers of a Dask scheduler (joblib's Dask backend).

The workers run this code and see the artifacts' folder under the same path: they read the store
there and publish their fits there themselves. What they print is said here when a fit ends. A fit
whose worker is killed begins again on another one; Dask gives it up when it killed four.
"""

import contextlib
import functools
import io
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import distributed
from joblib._dask import DaskDistributedBackend

from features.errors import InputError
from pipeline.artifacts import provenance
from pipeline.training.executors import base
from pipeline.training.executors.base import Tasks

WAIT = 10  # seconds for the scheduler to answer, and for a first worker


def run_tasks(
    work: Callable[..., Any], tasks: Tasks, scheduler: str, shared: Path
) -> Iterator[tuple[str, Any]]:
    """See pipeline.training.executors.base; the arguments of `tasks` hold absolute paths."""
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # one line says it below
    left = dict(tasks)
    with _client(scheduler) as client, tempfile.NamedTemporaryFile(dir=shared) as beacon:
        there = functools.partial(_on_worker, work, Path(beacon.name), provenance.code())
        backend = Backend(client=client, wait_for_workers_timeout=WAIT)
        done = base.parallel(there, tasks, backend=backend, n_jobs=-1, pre_dispatch="all")
        try:
            for name, (result, said) in done:
                print(said, end="", flush=True)
                del left[name]
                yield name, result
        except TimeoutError:
            raise InputError(f"{scheduler} has no worker; {START}") from None
        except ModuleNotFoundError as error:
            raise InputError(f"a worker of {scheduler} lacks {error.name!r}; {START}") from None
        except distributed.KilledWorker as error:
            raise InputError(
                f"a fit killed {error.allowed_failures + 1} workers of {scheduler}, see that they"
                f" have memory for it; unfinished: {', '.join(left)}"
            ) from None
        except CancelledError:
            raise InputError(
                f"{scheduler} is gone; start it and its workers, and run the same command again:"
                f" what is finished is kept, {len(left)} are not"
            ) from None


START = (
    "in the folder of this project, on each machine, with this environment, run:"
    " python -m distributed.cli.dask_worker tcp://HOST:PORT --nthreads 1 --nworkers N"
)


def _client(scheduler: str) -> distributed.Client:
    certified = distributed.Security().get_connection_args("client").get("ssl_context")
    if scheduler.startswith("tls://") and certified is None:
        raise InputError(
            f"train.scheduler={scheduler}: tls:// needs certificates; name them in Dask's"
            " configuration (distributed.comm.tls), here and for scheduler and workers"
        )
    try:
        return distributed.Client(scheduler, timeout=WAIT, set_as_default=False)
    except OSError:
        raise InputError(
            f"train.scheduler={scheduler}: no Dask scheduler answers; start one with: python -m"
            " distributed.cli.dask_scheduler"
        ) from None


class Backend(DaskDistributedBackend):
    """joblib's own, which waits for ever where a task is given up, or a worker dies with results.

    Here every task's own future tells of its end, and asks the scheduler for a result that is lost.
    It is awaited in the client's loop, since that may stop while another thread asks it for an end,
    which then waits for ever.
    """

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Two at least: where there is one, joblib computes in this process."""
        return max(2, super().effective_n_jobs(n_jobs))

    def submit(self, func: Any, callback: Callable[[Any], None]) -> distributed.Future:
        future = self.client.submit(_results, func.items, pure=False)

        async def tell() -> None:
            callback(await _outcome(future))

        self.client.loop.add_callback(tell)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        if isinstance(out, BaseException):
            raise out
        return out


def _results(calls: list[tuple]) -> list:
    return [function(*arguments, **words) for function, arguments, words in calls]


async def _outcome(task: distributed.Future) -> Any:
    try:
        return await task
    except (Exception, CancelledError) as error:  # raised again by the one who waits
        return error


def _on_worker(work: Callable[..., Any], beacon: Path, code: str, *arguments: Any) -> Any:
    """The result of `work` and what it printed."""
    me = f"the Dask worker {distributed.get_worker().name} on {socket.gethostname()}"
    n_threads = distributed.get_worker().state.nthreads
    if n_threads > 1:
        raise InputError(f"{me} has {n_threads} threads, a fit needs a process; {START}")
    if provenance.code() != code:
        raise InputError(f"{me} has other code in {os.getcwd()} than this process: bring it here")
    if not beacon.exists():
        raise InputError(
            f"{me} does not see {beacon.parent}: mount that folder there under the same path, or"
            " name a shared one with artifacts=DIR"
        )
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        return work(*arguments), said.getvalue()
