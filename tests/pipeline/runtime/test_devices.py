"""Which GPU or core a process gets, and until when."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from features.errors import InputError
from pipeline.config.settings import TrainSettings
from pipeline.runtime import devices
from tests.helpers.tiny_runs import ROOT


def test_a_gpu_is_free_again_when_its_process_is_killed(tmp_path):
    code = (
        "from pathlib import Path; from pipeline.runtime import devices;"
        " devices.take(['4'], Path()); print(flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=env, **pipes) as holder:
        holder.stdout.readline()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(devices, "PATIENCE", 0.3)
            patch.setattr(devices, "HELD", [])
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            with pytest.raises(InputError, match="none of the GPUs 4 came free"):
                devices.take(["4"], tmp_path)
            holder.kill()
            holder.wait()
            devices.take(["4"], tmp_path)
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"
            devices.HELD.pop().release()


def test_devices_are_those_that_the_launcher_shows(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 2)
    assert devices.gpus("auto") == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert devices.gpus("auto") == ["4", "6"]
    assert devices.gpus("cuda:1") == ["6"]
    assert devices.gpus("cpu") == []
    assert devices.device_slots(TrainSettings(), 10) == ["4", "6"]
    assert devices.device_slots(TrainSettings(workers=3), 10) == ["4", "6", "4"]
    assert devices.device_slots(TrainSettings(backend="serial"), 10) == [""]


def test_cores_are_divided_by_threads(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    train_cfg = TrainSettings(device="cpu")
    n_slots = [len(devices.device_slots(replace(train_cfg, threads=n), 10)) for n in (1, 3, 16)]
    assert n_slots == [8, 2, 1]


def test_a_gpu_that_rounds_every_product_is_refused(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    for wanted in ("auto", "cuda", "cuda:0"):
        with pytest.raises(InputError, match=r"^NVIDIA_TF32_OVERRIDE=1 rounds .*; unset it"):
            devices.pick_device(wanted)
    assert devices.pick_device("cpu").type == "cpu"
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert devices.pick_device("auto").type == "cuda"
