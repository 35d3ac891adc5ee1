"""One fit over several processes, against one process.

In float64 only the order of additions differs, so that an error larger than rounding shows. Adam
divides by the size of a gradient, so that a weight whose true gradient is zero (a bias in front of
batch norm) moves by rounding alone; logits do not depend on it, and the tests compare logits.
"""

import os
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch

from cv.auc import auc
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
from tests.helpers.networks.small import network, rows, settings

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
    """The curve, logits and weights at the end of a fit. It starts from half the weights of
    tests.helpers.networks.small, because logits saturate with those."""
    data, label = rows(n_rows=17)
    net = network(s)
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(0.5)
    report = fit(net, data, label, data, label, s.fit, seed=0, score=score)
    curve = [(record["loss"], record["score"]) for record in report.epochs]
    state = {name: value.double() for name, value in net.state_dict().items()}
    return {"curve": curve, "logits": report.held_logits, "again": predict(net, data), **state}


def every_network() -> dict:
    return {name: trained(s) for name, s in NETWORKS.items()}


def scored_apart() -> dict:
    """A fit whose processes get different scores: the first one's decide."""
    scores = iter([0.5, 0.6, 0.4, 0.3] if distributed.rank() == 0 else [0.9, 0.1, 0.95, 0.2])
    s = NETWORKS["qin"]
    return trained(replace(s, fit=replace(s.fit, patience=2)), lambda *_: next(scores))


def process(rank: int, size: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group("gloo")
    results = {"networks": every_network(), "scored_apart": scored_apart()}
    torch.manual_seed(distributed.rank_seed(5))
    torch.save(results | {"random": torch.rand(3)}, f"{folder}/{size}-{rank}.pt")
    distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def alone():
    return every_network()


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """By number of processes, the results of each process."""
    folder = tmp_path_factory.mktemp("groups")
    for size in SIZES:
        args = (size, free_port(), str(folder))
        torch.multiprocessing.start_processes(process, args, size, start_method="fork")
    return {n: [torch.load(folder / f"{n}-{r}.pt") for r in range(n)] for n in SIZES}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", SIZES)
def test_several_processes_end_where_one_does(alone, groups, size, name):
    one, group = alone[name], groups[size][0]["networks"][name]
    np.testing.assert_allclose(group["curve"], one["curve"], rtol=1e-9)
    torch.testing.assert_close(group["logits"], one["logits"], rtol=1e-7, atol=1e-7)
    assert 0.01 < one["logits"].std() < 10  # neither all alike nor saturated
    assert torch.equal(group["again"], group["logits"])
    for key in one:
        if "running" in key or "embedding" in key or "item." in key:
            torch.testing.assert_close(group[key], one[key], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_all_processes_end_with_the_same_bits(groups, size):
    first, *others = groups[size]
    for other in others:
        for name, result in first["networks"].items():
            for key, value in result.items():
                same = value == other["networks"][name][key]
                assert same if isinstance(same, bool) else same.all(), (name, key)


def test_the_first_process_decides_when_to_stop(groups):
    for group in groups.values():
        curves = [result["scored_apart"]["curve"] for result in group]
        assert [score for _, score in curves[0]] == [0.5, 0.6, 0.4, 0.3]
        assert all(curve == curves[0] for curve in curves)


def test_every_process_has_its_own_dropout_and_the_first_that_of_one_alone(groups):
    torch.manual_seed(5)
    alone = torch.rand(3)
    first, second = (result["random"] for result in groups[2])
    assert torch.equal(first, alone)
    assert not torch.equal(second, alone)
