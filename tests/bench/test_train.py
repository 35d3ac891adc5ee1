"""bench.train, and the padded implementation that it compares ours with."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from bench import train
from bench.tools import challenge_like, padded
from models.layers.dropout import Dropout
from models.layers.precision import Linear
from models.settings import DinSettings, FitSettings, MlpSettings, QnnSettings
from models.training.fit import predict, train_epoch
from tests.helpers.networks.small import network, rows, settings

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


def padded_batch(rows, label):
    dataset = padded.PaddedRows(rows, label)
    return padded.collate([dataset[i] for i in range(len(dataset))])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_padded_network_computes_our_logits(name):
    net = network(NETWORKS[name]).eval()
    some_rows, label = rows()
    *ids, _ = padded_batch(some_rows, label)
    assert (ids[0] == 0).any()
    plain = padded.PaddedNetwork(net).eval()
    torch.testing.assert_close(plain(*ids).mean(1), predict(net, some_rows), rtol=1e-12, atol=1e-12)
    assert not {type(part) for part in plain.modules()} & {Linear, Dropout}  # torch's own


@pytest.mark.parametrize("name", ["qin", "din"])
def test_a_padded_step_updates_the_weights_as_ours_does(name):
    some_rows, label = rows()
    net, s = network(NETWORKS[name]), FitSettings(embedding_l2=0.1, clip_norm=1.0)
    other = copy.deepcopy(net)
    ours = torch.optim.Adam(net.parameters(), lr=0.01)
    train_epoch(net, iter([(some_rows.batch(torch.arange(8)), label)]), ours, s)
    theirs = torch.optim.Adam(other.parameters(), lr=0.01)
    padded.train_step(
        padded.PaddedNetwork(other).train(), padded_batch(some_rows, label), theirs, s
    )
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_generated_rows_have_the_challenges_shape():
    generated, label = challenge_like.rows(40_000, 64)
    length = generated.end - generated.begin
    assert length.min() == challenge_like.SHORTEST
    assert 7.8 < length.double().mean() < 8.2
    assert generated.item.min() >= 1
    assert int(generated.values.max()) < challenge_like.N_ITEMS
    assert len(label) == len(generated) == 40_000


def test_the_table_has_rates_ratios_memory_and_shares(capsys):
    sizes = ["--rows", "256", "--batch", "64", "--items", "300", "--threads", "1"]
    assert train.main([*sizes, "--rounds", "1", "--seconds", "0", "--json"]) == 0
    medians = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert medians.keys() == {"padded", "exact", "default"}
    assert all(
        figures[k] > 0 for figures in medians.values() for k in ("train", "infer", "peak_mib")
    )
    assert sum(medians["exact"]["phases"].values()) == pytest.approx(1)
    text = "\n".join(train.markdown(medians, train.VariantConfig(
        model="qin", rows=256, items=300, batch=64, device="cpu", threads=1, seconds=0
    )))  # fmt: skip
    lines = text.splitlines()
    assert lines[-3].startswith("| padded |")
    assert lines[-3].count("| 1.0x |") == 2
    assert len({line.count("|") for line in lines[-5:]}) == 1


def test_overrides_change_only_the_default_variant():
    config = train.VariantConfig(
        model="qin", rows=8, items=9, batch=4, device="cpu", threads=1, seconds=0,
        overrides=("qnn.bank=collapsed", "fit.precision=bf16"),
    )  # fmt: skip
    changed = train.network_settings(config)
    assert (changed.qnn.bank, changed.fit.precision) == ("collapsed", "bf16")
    exact = train.network_settings(replace(config, variant="exact"))
    assert (exact.qnn.bank, exact.fit.precision) == ("full", "float32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "nothing"], "no such network; there are din"),
        (["--model", "transformer_dcn"], "bench/tools/padded.py knows qin, din and final"),
        (
            ["--rows", "100", "--batch", "64"],
            "must be a multiple of --batch 64, which must be at least 2",
        ),
        (["--rounds", "0"], "--rounds and --threads 1"),
        (["--threads", "0"], "--rounds and --threads 1"),
        (["fit.precision=tf32"], "qin.fit.precision=tf32, but cpu does not multiply TF32"),
        (["qnn.bank=half"], "qnn.bank = 'half' must be one of full, collapsed"),
    ],
)
def test_bad_options_are_refused(options, message, capsys):
    assert train.main(options) == 2
    assert message in capsys.readouterr().err
