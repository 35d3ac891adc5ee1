"""One fit over several processes, when torchrun started this one.

    torchrun --standalone --nproc-per-node N -m pipeline.50_train PROFILE [key=value ...]

All processes run the same stage, one fit after another, each fit over all of them
(models.training.distributed). The first publishes, and is the only one that prints. Whichever
fails first
says why; the others end without a word.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

from features.errors import InputError
from models.training import distributed
from models.training.losses import PAIRING
from pipeline.config.settings import Settings
from pipeline.runtime import devices

LOST = (
    "another process of this fit is gone without a word: it was killed, or its machine is; see that"
    " memory suffices, and run the same command again: what is finished is kept"
)


@contextlib.contextmanager
def distributed_session() -> Iterator[None]:
    """Around all that a stage does: where torchrun started it, one process says what there is."""
    if not distributed.launched():
        yield
        return
    store, rank = distributed.rendezvous()
    try:
        with _silent(rank > 0):
            yield
        distributed.broadcast_scalar(0)  # until the first one has published
    except BaseException as error:
        if store.add("spoken", 1) > 1:
            raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 2) from None
        if isinstance(error, distributed.PeerLost):
            raise InputError(LOST) from None
        raise
    finally:
        distributed.end()


def exit_process(code: int) -> NoReturn:
    """End this process, one of a team at once: taking the threads of the store and of gloo down
    with the interpreter aborts it now and then (torch 2.13)."""
    if distributed.launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def init_distributed(s: Settings) -> None:
    """Work together from here on, where torchrun started this process."""
    if distributed.launched():
        refuse(s)
        distributed.init_process_group("nccl" if _take_gpu(s.train.device) else "gloo")


def _take_gpu(device: str) -> bool:
    """Make this process's GPU its only one; False where it works on the CPU."""
    seen, mine = devices.gpus(device), int(os.environ["LOCAL_RANK"])
    if not seen:
        return False
    if mine >= len(seen):
        n = os.environ["LOCAL_WORLD_SIZE"]
        raise InputError(f"{n} processes, but {len(seen)} GPUs: use --nproc-per-node {len(seen)}")
    os.environ["CUDA_VISIBLE_DEVICES"] = seen[mine]
    return True


def refuse(s: Settings) -> None:
    """Raises InputError where several processes cannot do what `s` says."""
    problems = [
        f"{model}.fit.loss={network.fit.loss} compares rows of a batch, of which each process sees"
        " its share alone: train it without torchrun"
        for model, network in s.networks.items()
        if network.fit.loss in PAIRING
    ]
    if s.train.rows == "stream":
        problems.append("train.rows=stream reads a pass in one process: train it without torchrun")
    if s.train.backend == "dask":
        problems.append("train.backend=dask has fits on a cluster: run it without torchrun")
    if ":" in s.train.device:
        problems.append(f"train.device={s.train.device} is one GPU: write cuda")
    if problems:
        raise InputError("; ".join(problems))


@contextlib.contextmanager
def _silent(yes: bool) -> Iterator[None]:
    if not yes:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
