"""One fit of the benchmark over fields: its name, its scores, how it resumes."""

import math
import os
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss as sklearn_log_loss

from bench.fields import fits
from bench.fields.data.schema import find
from bench.fields.data.store import open_fields
from bench.fields.data.writing import stored
from bench.fields.settings import network_settings
from cv.auc import auc
from features.errors import InputError
from models.batches import plan
from models.fields.settings import Deep, Explicit
from models.training import averaging, warm_up
from tests.helpers.field_runs import HEADER, OF, changed, lines


def test_the_name_depends_on_settings_seed_bytes_and_code_but_not_on_unread_parts(
    opened, data, tmp_path, monkeypatch
):
    s = network_settings("mlp", OF)

    def name(s=s, seed=1, store=opened):
        return fits.fit_spec(s, seed, store, tmp_path).path.name

    names = [name(), name(network_settings("mlp", OF, 5)), name(seed=2)]
    names.append(name(changed("mlp", mlp={"dropout": 0.3})))
    (data / "test.csv.gz").unlink()
    (data / "test.csv").write_text("\n".join([HEADER, *lines(80, 9)]))
    names.append(name(store=stored(find(data), OF.data, tmp_path)))
    monkeypatch.setattr(fits, "CODE", fits.CODE[1:])
    names.append(name())
    assert len(set(names)) == len(names)


def test_the_best_epoch_of_valid_scores_test(opened):
    frappe = open_fields(opened)
    small = {"embedding_l2": 0.001, "batch_size": 64, "max_epochs": 6}
    s = changed("mlp", mlp={"hidden": [8]}, fit=small)
    report, logits = fits.train(s, 3, frappe, "small")
    curve = [epoch["score"] for epoch in report["epochs"]]
    assert report["valid_auc"] == max(curve) == curve[report["best_epoch"] - 1]
    assert report["auc"] > 0.8  # the item decides nine labels of ten
    assert auc(frappe.label["test"], logits) == report["auc"]
    assert torch.equal(fits.train(s, 3, frappe, "again")[1], logits)


def test_epochs_of_minutes_say_how_far_they_are(opened, monkeypatch, capsys):
    s = changed("lr", fit={"max_epochs": 2, "batch_size": 100})
    fits.train(s, 1, open_fields(opened), "lr")
    assert capsys.readouterr().out.count("\n") == 2
    monkeypatch.setattr(fits, "SECONDS_BETWEEN_LINES", 0.0)
    fits.train(s, 1, open_fields(opened), "lr")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines[5:8]] == [
        "lr epoch 2: 0%", "lr epoch 2: 25%", "lr epoch 2: 50%",
    ]  # fmt: skip
    assert lines[8].startswith("lr epoch 2: 75%, ")
    assert lines[9].startswith("lr epoch 2: valid auc ")


def test_a_stopped_fit_goes_on_after_its_last_epoch(opened, tmp_path, monkeypatch, capsys):
    s = changed("final_2b", final={"block1": [8], "block2": [6]}, fit={"max_epochs": 4})
    whole, parts = (fits.fit_spec(s, 1, opened, tmp_path / name) for name in ("whole", "parts"))
    fits.run(s, 1, opened, whole, "whole", "", os.getpid())
    monkeypatch.setattr(fits, "SAVE_EVERY", 0.0)
    log_loss, epochs = fits.log_loss, iter(range(2))

    def stop_in_the_third(label, logits):  # called once after each epoch
        next(epochs)
        return log_loss(label, logits)

    monkeypatch.setattr(fits, "log_loss", stop_in_the_third)
    with pytest.raises(StopIteration):
        fits.run(s, 1, opened, parts, "parts", "", os.getpid())
    monkeypatch.setattr(fits, "log_loss", log_loss)
    capsys.readouterr()
    fits.run(s, 1, opened, parts, "parts", "", os.getpid())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "parts resumes after epoch 2"
    assert lines[1].startswith("parts epoch 3: valid auc 0.")
    a, b = (np.load(spec.path / fits.LOGITS) for spec in (whole, parts))
    assert np.array_equal(a, b)
    assert list((tmp_path / "parts").glob(".*")) == []


@pytest.mark.parametrize("logits", [[-3.0, 0.5, 2.0, 0.0], [-800.0, 40.0, 800.0, -1.0]])
def test_log_loss_is_that_of_sklearn_at_the_extremes_too(logits):
    label = torch.tensor([1.0, 0.0, 0.0, 1.0])
    p = [1 / (1 + math.exp(-x)) if x > -700 else 0.0 for x in logits]
    want = sklearn_log_loss(label.numpy(), p)
    assert fits.log_loss(label, torch.tensor(logits)) == pytest.approx(want, rel=1e-12)


def test_the_fits_of_a_network_depend_on_the_code_of_its_own_parts(opened, tmp_path, monkeypatch):
    def names():
        return {n: fits.fit_spec(network_settings(n, OF), 1, opened, tmp_path).path.name for n in
                ("afm", "dcn", "dcn_final", "final_1b", "lr")}  # fmt: skip

    for module in (warm_up, averaging, plan):  # the batches' order among them
        assert module in fits.CODE
    before = names()
    monkeypatch.setitem(fits.CODE_OF_PART, "final", ())
    changed = {n for n, name in names().items() if name != before[n]}
    assert changed == {"dcn_final", "final_1b"}
    assert {*fits.CODE_OF_PART} == {*get_args(Explicit), *get_args(Deep)} - {"none"}


def test_a_fit_that_diverges_is_named_and_leaves_nothing(opened, tmp_path):
    s = changed("dcn", fit={"learning_rate": 1e30, "batch_size": 64, "max_epochs": 2})
    spec = fits.fit_spec(s, 1, opened, tmp_path / "out")
    with pytest.raises(
        InputError, match=r"dcn seed 1: epoch 1: .* lower fit\.learning_rate in \[dcn\] of own"
    ):
        fits.run(s, 1, opened, spec, "dcn seed 1", "[dcn] of own.toml", os.getpid())
    assert list((tmp_path / "out").iterdir()) == []
