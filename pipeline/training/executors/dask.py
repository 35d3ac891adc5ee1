"""train.backend=dask: tasks on the workers of a Dask scheduler.

The workers run this code and see the artifacts' folder under the same path: they read the store
there and publish their fits there themselves. What a fit prints on its worker is printed here when
the fit ends. A fit whose worker is killed starts again on another worker; Dask gives up a fit that
has killed four.
"""

import contextlib
import functools
import io
import logging
import os
import socket
import tempfile
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import distributed

from features.errors import InputError
from pipeline.artifacts import provenance
from pipeline.training.executors.base import Results, Tasks, Work

TIMEOUT_S = 10  # for the scheduler to answer, and for a first worker
START = (
    "in the folder of this project, on each machine, with this environment, run:"
    " python -m distributed.cli.dask_worker tcp://HOST:PORT --nthreads 1 --nworkers N"
)


def run_tasks(work: Work, tasks: Tasks, scheduler: str, shared: Path) -> Results:
    """See pipeline.training.executors.dispatch; the arguments of `tasks` hold absolute paths."""
    client_log = logging.getLogger("distributed.client")
    client_log.setLevel(logging.CRITICAL)  # the InputErrors below say the same in one line
    unfinished = dict(tasks)
    with _client(scheduler) as client, tempfile.NamedTemporaryFile(dir=shared) as beacon:
        on_worker = functools.partial(_on_worker, work, Path(beacon.name), provenance.code())
        try:
            client.wait_for_workers(1, timeout=TIMEOUT_S)
            futures = {
                client.submit(on_worker, *arguments, pure=False): name
                for name, arguments in tasks.items()
            }
            for future in distributed.as_completed(list(futures), loop=client.loop):
                name = futures.pop(future)
                result, output = future.result()
                print(output, end="", flush=True)
                del unfinished[name]
                yield name, result
        except TimeoutError:
            raise InputError(f"{scheduler} has no worker; {START}") from None
        except ModuleNotFoundError as error:
            raise InputError(f"a worker of {scheduler} lacks {error.name!r}; {START}") from None
        except distributed.KilledWorker as error:
            raise InputError(
                f"a fit killed {error.allowed_failures + 1} workers of {scheduler}, check that they"
                f" have memory for it; unfinished: {', '.join(unfinished)}"
            ) from None
        except CancelledError:
            raise InputError(
                f"{scheduler} is gone; start it and its workers, and run the same command again:"
                f" finished fits are kept, {len(unfinished)} fits are not finished"
            ) from None


def _client(scheduler: str) -> distributed.Client:
    has_certificate = distributed.Security().get_connection_args("client").get("ssl_context")
    if scheduler.startswith("tls://") and has_certificate is None:
        raise InputError(
            f"train.scheduler={scheduler}: tls:// needs certificates; name them in Dask's"
            " configuration (distributed.comm.tls), here and for scheduler and workers"
        )
    try:
        return distributed.Client(scheduler, timeout=TIMEOUT_S, set_as_default=False)
    except OSError:
        raise InputError(
            f"train.scheduler={scheduler}: no Dask scheduler answers; start one with: python -m"
            " distributed.cli.dask_scheduler"
        ) from None


def _on_worker(work: Work, beacon: Path, code: str, *arguments: Any) -> tuple[Any, str]:
    """The result of `work` and what it printed."""
    worker = distributed.get_worker()
    name = f"the Dask worker {worker.name} on {socket.gethostname()}"
    n_threads = worker.state.nthreads
    if n_threads > 1:
        raise InputError(f"{name} has {n_threads} threads, a fit needs a process; {START}")
    if provenance.code() != code:
        raise InputError(
            f"{name} runs other code in {os.getcwd()} than this process: update it there"
        )
    if not beacon.exists():
        raise InputError(
            f"{name} does not see {beacon.parent}: mount that folder there under the same path, or"
            " name a shared one with artifacts=DIR"
        )
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        return work(*arguments), output.getvalue()
