"""One fit over several processes, against one process.

In float64 nothing but the order of additions differs: what is wrong by more than rounding shows.
Adam divides by the size of a gradient, so a weight whose true gradient is zero (a bias in front of
batch norm) moves by rounding alone; logits do not depend on it, and they are what is compared.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from cv.auc import auc
from features.errors import InputError
from models.settings import (
    CrossSettings,
    DinSettings,
    FinalSettings,
    FitSettings,
    MlpSettings,
    QnnSettings,
    TransformerSettings,
)
from models.training import distributed
from models.training.fit import fit, predict
from pipeline import graph
from pipeline.config.load import load
from pipeline.runtime import cli
from pipeline.training.torchrun import refuse
from tests.helpers.small import network, rows, settings
from tests.test_run_all import ROOT, TINY

# 17 rows in batches of 5: the last one holds 2, of which a third process has none
FIT = FitSettings(batch_size=5, max_epochs=4, learning_rate=0.01, embedding_l2=0.1, clip_norm=0.5)
NETWORKS = {
    "qin": settings(fit=FIT, qnn=QnnSettings(layers=2, rows=2, dropout=0.0)),
    "focal": settings(fit=replace(FIT, loss="focal"), qnn=QnnSettings(layers=1, dropout=0.0)),
    "din": settings(
        fit=FIT,
        interest="din",
        interaction="mlp",
        din=DinSettings(hidden=(6, 4)),
        mlp=MlpSettings(hidden=(6, 4), dropout=0.0),
    ),
    "final": settings(
        fit=FIT,
        interest="mean",
        interaction="final",
        final=FinalSettings(block1=(4, 4), block2=(4,), dropout=0.0),
    ),
    "transformer_dcn": settings(
        fit=FIT,
        interest="transformer",
        interaction="cross",
        transformer=TransformerSettings(last=2, dropout=0.0),
        cross=CrossSettings(deep=(4, 4), hidden=(4,), dropout=0.0, batch_norm=True),
    ),
}
SIZES = (2, 3)


def trained(s, score=auc) -> dict:
    """What a fit ends with. Weights are half of what tests.helpers.small has, or logits
    saturate."""
    made, label = rows(n_rows=17)
    net = network(s)
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(0.5)
    report = fit(net, made, label, made, label, s.fit, seed=0, score=score)
    curve = [(record["loss"], record["score"]) for record in report.epochs]
    state = {name: value.double() for name, value in net.state_dict().items()}
    return {"curve": curve, "logits": report.held_logits, "again": predict(net, made), **state}


def every_network() -> dict:
    return {name: trained(s) for name, s in NETWORKS.items()}


def stubborn() -> dict:
    """Processes that score differently: the first one's scores decide."""
    scores = iter([0.5, 0.6, 0.4, 0.3] if distributed.rank() == 0 else [0.9, 0.1, 0.95, 0.2])
    s = NETWORKS["qin"]
    return trained(replace(s, fit=replace(s.fit, patience=2)), lambda *_: next(scores))


def process(rank: int, size: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group("gloo")
    found = {"networks": every_network(), "stubborn": stubborn()}
    torch.manual_seed(distributed.own_seed(5))
    torch.save(found | {"random": torch.rand(3)}, f"{folder}/{size}-{rank}.pt")
    distributed.end()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def alone():
    return every_network()


@pytest.fixture(scope="module")
def teams(tmp_path_factory):
    """By how many they were, what each process ended with."""
    folder = tmp_path_factory.mktemp("teams")
    for size in SIZES:
        given = (size, free_port(), str(folder))
        torch.multiprocessing.start_processes(process, given, size, start_method="fork")
    return {n: [torch.load(folder / f"{n}-{r}.pt") for r in range(n)] for n in SIZES}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", SIZES)
def test_several_processes_end_where_one_does(alone, teams, size, name):
    one, team = alone[name], teams[size][0]["networks"][name]
    np.testing.assert_allclose(team["curve"], one["curve"], rtol=1e-9)
    torch.testing.assert_close(team["logits"], one["logits"], rtol=1e-7, atol=1e-7)
    assert 0.01 < one["logits"].std() < 10  # neither all alike nor saturated
    assert torch.equal(team["again"], team["logits"])
    for key in one:
        if "running" in key or "embedding" in key or "item." in key:
            torch.testing.assert_close(team[key], one[key], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_all_processes_end_with_the_same_bits(teams, size):
    first, *others = teams[size]
    for other in others:
        for name, ended in first["networks"].items():
            for key, value in ended.items():
                same = value == other["networks"][name][key]
                assert same if isinstance(same, bool) else same.all(), (name, key)


def test_the_first_process_decides_when_to_stop(teams):
    for team in teams.values():
        curves = [ended["stubborn"]["curve"] for ended in team]
        assert [score for _, score in curves[0]] == [0.5, 0.6, 0.4, 0.3]
        assert all(curve == curves[0] for curve in curves)


def test_every_process_drops_out_on_its_own_and_the_first_as_one_alone(teams):
    torch.manual_seed(5)
    alone = torch.rand(3)
    first, second = (ended["random"] for ended in teams[2])
    assert torch.equal(first, alone)
    assert not torch.equal(second, alone)


# The stage under torchrun

NO_DROPOUT = ["qin.qnn.dropout=0", "final.final.dropout=0", "final.din.dropout=0"]
PLAIN = [*TINY, "models=qin,final", "qin.fit.batch_size=100", *NO_DROPOUT]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torchrun")
    words = [*PLAIN, f"artifacts={folder}", "train.backend=serial"]
    for stage in ("00_data", "10_prepare", "20_folds", "50_train"):
        import_module(f"pipeline.{stage}").work(load("sample", words), False)
    return folder


@pytest.fixture
def words(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "a", ignore=lambda *_: ["50_train"])
    return [*PLAIN, f"artifacts={tmp_path}/a"]


def torchrun(*words: str, n: int = 2, module: str = "pipeline.50_train", **how):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    cli = [*launcher, "--nproc-per-node", str(n), "-m", module, "sample", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(cli, cwd=ROOT, env=env, **pipes, **how)


def lines(said: str, beginning: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith(beginning)]


def test_the_fits_of_two_processes_are_those_of_one(words, prepared):
    """float32: 24 steps of Adam keep logits of size 1 within a thousandth."""
    said, errors = (run := torchrun(*words)).communicate()
    assert run.returncode == 0, errors
    fits = graph.fits(load("sample", words))
    assert said.count(" epochs=") == len(fits) == 4
    one = graph.fits(load("sample", [*PLAIN, f"artifacts={prepared}"]))
    for key, place in fits.items():
        for file in ("held", "valid", "test"):
            a, b = (pl.read_parquet(p.path / f"{file}.parquet") for p in (place, one[key]))
            assert a.drop("logit").equals(b.drop("logit"))
            np.testing.assert_allclose(a["logit"], b["logit"], rtol=0, atol=1e-3)


def test_an_error_in_one_process_ends_all_in_seconds_and_is_said_once():
    started = time.perf_counter()
    _, errors = (run := torchrun(module="tests.helpers.one_fails")).communicate()
    assert time.perf_counter() - started < 30
    assert lines(errors, "error: ") == ["error: bad input, which one process saw"]
    assert "models/training/distributed.py" not in errors  # no traceback of ours
    assert "exitcode  : 2" in errors  # torchrun's report; its own exit code is 1
    assert run.returncode == 1


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("qin.fit.loss=bce_bpr", "qin.fit.loss=bce_bpr compares rows of a batch"),
        ("qin.fit.loss=contrastive", "train it without torchrun"),
        ("train.rows=stream", "train.rows=stream reads a pass in one process"),
        ("train.device=cuda:1", "train.device=cuda:1 is one GPU: write cuda"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(word, said):
    with pytest.raises(InputError, match=said):
        refuse(load("sample", ["models=qin", word]))


def test_one_killed_process_ends_all_in_seconds_with_one_line(words):
    endless = [word for word in words if "max_epochs" not in word]
    endless += ["network.fit.max_epochs=9999", "network.fit.patience=9999"]
    with torchrun(*endless) as run:
        next(line for line in run.stdout if " epoch 3 " in line)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        started = time.perf_counter()
        os.kill(int(children[1]), signal.SIGKILL)
        _, errors = run.communicate()
        assert time.perf_counter() - started < 20
    assert run.returncode != 0
    assert len(lines(errors, "error: ") + lines(errors, "interrupted: ")) == 1
    assert not [p for p in children if Path(f"/proc/{p}").exists()]


@pytest.mark.long
def test_twenty_of_twenty_shut_down_cleanly(words):
    s = load("sample", words)
    for _ in range(20):
        _, errors = (run := torchrun(*words, "models=qin")).communicate(timeout=300)
        assert run.returncode == 0, errors
        fits = [place for key, place in graph.fits(s).items() if key[0] == "qin"]
        assert all(place.done for place in fits)
        for place in fits:
            shutil.rmtree(place.path)


def test_torchrun_is_for_training_alone(monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert cli.exit_code(lambda: pytest.fail("must not run")) == 2
    assert "torchrun is for pipeline.50_train alone" in capsys.readouterr().err
