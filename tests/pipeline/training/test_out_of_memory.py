"""Stages that need more memory than the device has."""

from importlib import import_module

import pytest
import torch

from features.errors import InputError
from models.training import fit
from pipeline import graph
from pipeline.config.load import load
from pipeline.probes import history_use
from pipeline.runtime import cli
from pipeline.runtime.out_of_memory import enough_memory
from tests.pipeline.training.fit_runs import KEY


def need_too_much(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")


def test_a_fit_that_needs_too_much_memory_names_the_setting(own, capsys, monkeypatch):
    work = import_module("pipeline.50_train").work
    with monkeypatch.context() as patched:
        patched.setattr(fit, "train_epoch", need_too_much)
        assert cli.exit_code(lambda: work(load("sample", own), False)) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message == (
        "error: 50_train qin seed 0 fold 0 needs more memory than cpu has; lower"
        " qin.fit.batch_size; then keep the rows on the host, train.rows=host"
    )
    assert not any(graph.fits(load("sample", own))[KEY].folder.iterdir())


def test_another_stage_that_needs_too_much_memory_names_a_setting(trained, capsys, monkeypatch):
    work = import_module("pipeline.55_mask").work
    monkeypatch.setattr(history_use, "examine", need_too_much)
    assert cli.exit_code(lambda: work(load("sample", trained), False)) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("error: 55_mask needs more memory than cpu has; keep the rows on the")


def test_torchs_error_on_a_cpu_is_recognised_and_other_errors_pass():
    cpu = torch.device("cpu")
    with (
        pytest.raises(InputError, match="it needs more memory than cpu has; do"),
        enough_memory(cpu, "it", "do"),
    ):
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="size"), enough_memory(cpu, "it", "do"):
        torch.ones(2) @ torch.ones(3)
