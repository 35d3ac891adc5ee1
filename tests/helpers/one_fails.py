"""Script for torchrun: one process fails while the others wait for it."""

import torch

from features.errors import InputError
from models.training import distributed
from pipeline.runtime import cli
from pipeline.training import torchrun


def work() -> None:
    with torchrun.distributed_session():
        distributed.init_process_group("gloo")
        distributed.broadcast_scalar(0)
        if distributed.rank() == 1:
            raise InputError("bad input that one process saw")
        distributed.mean(torch.zeros((), dtype=torch.float64), 1)


if __name__ == "__main__":
    torchrun.exit_process(cli.exit_code(work, distributed=True))
