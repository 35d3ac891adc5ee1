"""The padded loop that ours is measured against."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from bench import challenge_like, padded, train
from models.settings import DinSettings, FitSettings, MlpSettings, QnnSettings
from models.training.fit import predict, train_epoch
from tests.helpers.small import network, rows, settings

QUIET = {
    "qnn": QnnSettings(layers=2, rows=3, dropout=0.0),
    "din": DinSettings(hidden=(5, 3)),
    "mlp": MlpSettings(hidden=(6, 4), dropout=0.0),
}
NETWORKS = {
    "qin": settings(**QUIET),
    "din": settings(interest="din", interaction="mlp", **QUIET),
    "final": settings(interest="din", interaction="final", **QUIET),
}


def batch_of(made, label):
    data = padded.PaddedRows(made, label)
    return padded.collate([data[i] for i in range(len(data))])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_padded_network_gives_the_logits_of_ours(name):
    net = network(NETWORKS[name]).eval()
    made, label = rows()
    *ids, _ = batch_of(made, label)
    assert (ids[0] == 0).any()
    plain = padded.PaddedNetwork(net).eval()
    torch.testing.assert_close(plain(*ids).mean(1), predict(net, made), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["qin", "din"])
def test_a_padded_step_moves_the_weights_as_ours_does(name):
    made, label = rows()
    net, s = network(NETWORKS[name]), FitSettings(embedding_l2=0.1, clip_norm=1.0)
    other = copy.deepcopy(net)
    ours = torch.optim.Adam(net.parameters(), lr=0.01)
    train_epoch(net, iter([(made.batch(torch.arange(8)), label)]), ours, s)
    theirs = torch.optim.Adam(other.parameters(), lr=0.01)
    padded.train_step(padded.PaddedNetwork(other).train(), batch_of(made, label), theirs, s)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_rows_are_of_the_challenges_shape():
    made, label = challenge_like.rows(40_000, 64)
    length = made.offsets.diff()
    assert length.min() == challenge_like.SHORTEST
    assert 7.8 < length.double().mean() < 8.2
    assert made.item.min() >= 1
    assert int(made.values.max()) < challenge_like.N_ITEMS
    assert len(label) == len(made) == 40_000


def test_the_table_says_rates_ratios_memory_and_shares(capsys):
    words = ["--rows", "256", "--batch", "64", "--items", "300", "--rounds", "1", "--seconds", "0"]
    assert train.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert found.keys() == {"padded", "exact", "default"}
    assert all(facts[k] > 0 for facts in found.values() for k in ("train", "infer", "peak_mib"))
    assert sum(found["exact"]["phases"].values()) == pytest.approx(1)
    lines = list(train.markdown(found, train.Task(
        model="qin", rows=256, items=300, batch=64, device="cpu", seconds=0
    )))  # fmt: skip
    assert "| padded |" in lines[-3]
    assert "1.0x" in lines[-3]


def test_words_change_the_default_variant_alone():
    task = train.Task(
        model="qin", rows=8, items=9, batch=4, device="cpu", seconds=0,
        words=("qnn.bank=collapsed", "fit.precision=bf16"),
    )  # fmt: skip
    changed = train.settings_of(task)
    assert (changed.qnn.bank, changed.fit.precision) == ("collapsed", "bf16")
    exact = train.settings_of(replace(task, variant="exact"))
    assert (exact.qnn.bank, exact.fit.precision) == ("full", "float32")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "nothing"], "no such network; there are din"),
        (["--model", "transformer_dcn"], "bench/padded.py knows qin, din and final"),
        (["--rows", "100", "--batch", "64"], "must be a multiple of --batch 64"),
        (["--rounds", "0"], "--rounds 1"),
        (["qnn.bank=half"], "qnn.bank = 'half' must be one of full, collapsed"),
    ],
)
def test_words_that_cannot_be_are_refused(words, said, capsys):
    assert train.main(words) == 2
    assert said in capsys.readouterr().err
