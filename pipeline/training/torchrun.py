"""One fit over several processes, where torchrun started this one.

    torchrun --standalone --nproc-per-node N -m pipeline.50_train PROFILE [key=value ...]

All processes run the same stage, one fit after another, each fit over all of them
(models.training.distributed). The first process writes the artifacts, and only it prints. The
process that fails first prints the error; the others end silently.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

from features.errors import InputError
from models.training import distributed
from models.training.losses import BETWEEN_ROWS
from pipeline.config.settings import Settings
from pipeline.runtime import devices

PEER_LOST = (
    "another process of this fit ended without an error message: it, or its machine, was killed;"
    " check that memory suffices, and run the same command again: finished fits are kept"
)
VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextlib.contextmanager
def distributed_session() -> Iterator[None]:
    """Around a whole stage: of the processes that torchrun started, only one prints."""
    if not distributed.launched():
        yield
        return
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise InputError(
            f"TORCHELASTIC_RUN_ID is set, but not {', '.join(missing)}: start this with torchrun,"
            " which sets all of them, or unset TORCHELASTIC_RUN_ID"
        )
    store, rank = distributed.rendezvous()
    try:
        with _silenced() if rank > 0 else contextlib.nullcontext():
            yield
        distributed.broadcast_scalar(0)  # wait until the first process has written its artifact
    except BaseException as error:
        if store.add("reported", 1) > 1:  # another process has reported its error
            raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 2) from None
        if isinstance(error, distributed.PeerLost):
            raise InputError(PEER_LOST) from None
        raise
    finally:
        distributed.destroy_process_group()


def exit_process(code: int) -> NoReturn:
    """End this process; under torchrun, at once.

    Ending the interpreter while threads of the store and of gloo run aborts the process now and
    then (torch 2.13).
    """
    if distributed.launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def init_distributed(settings: Settings) -> None:
    """Join the other processes, where torchrun started this one."""
    if distributed.launched():
        refuse(settings)
        distributed.init_process_group("nccl" if _take_gpu(settings.train.device) else "gloo")


def _take_gpu(device: str) -> bool:
    """Make this process's GPU its only one; False where it works on the CPU."""
    gpus, local_rank = devices.gpus(device), int(os.environ["LOCAL_RANK"])
    if not gpus:
        return False
    if local_rank >= len(gpus):
        n = os.environ["LOCAL_WORLD_SIZE"]
        raise InputError(f"{n} processes, but {len(gpus)} GPUs: use --nproc-per-node {len(gpus)}")
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus[local_rank]
    return True


def refuse(settings: Settings) -> None:
    """Raises InputError where several processes cannot do what `settings` ask for."""
    problems = [
        f"{model}.fit.loss={network.fit.loss} compares the rows of a batch, and each process has"
        " only its share of them: train it without torchrun"
        for model, network in settings.networks.items()
        if network.fit.loss in BETWEEN_ROWS
    ]
    train_cfg = settings.train
    if train_cfg.rows == "stream":
        problems.append("train.rows=stream reads rows in one process: train it without torchrun")
    if train_cfg.backend == "dask":
        problems.append("train.backend=dask has fits on a cluster: run it without torchrun")
    if ":" in train_cfg.device:
        problems.append(f"train.device={train_cfg.device} is one GPU: write cuda")
    if problems:
        raise InputError("; ".join(problems))


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    with open(os.devnull, "w", encoding="utf-8") as devnull, contextlib.redirect_stdout(devnull):
        yield
