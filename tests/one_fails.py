"""Run by torchrun: one process fails while the others wait for it."""

import torch

from features.errors import InputError
from models import distributed
from pipeline import command, torchrun


def work() -> None:
    with torchrun.team():
        distributed.begin("gloo")
        distributed.agreed(0)
        if distributed.rank() == 1:
            raise InputError("bad input, which one process saw")
        distributed.mean(torch.zeros((), dtype=torch.float64), 1)


if __name__ == "__main__":
    torchrun.leave(command.exit_code(work, team=True))
