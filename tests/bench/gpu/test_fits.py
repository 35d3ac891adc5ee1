"""The rows of the fits that bench.gpu compares, and the limit on their time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.gpu import convergence, fits, scores, two_processes
from bench.gpu.scale import TOY_SCALE
from cv.auc import auc
from models.network import Network
from models.training.fit import predict
from tests.helpers.worlds import tiny_store

TINY = replace(TOY_SCALE, rows=256, held_rows=64, items=60, batch=64, fit_seconds=0.0)


@pytest.fixture(scope="module")
def data():
    return fits.generated(TINY, TINY.rows, TINY.held_rows)


def test_generated_rows_train_choose_and_judge_by_different_users(data):
    assert [len(part.rows) for part in data[:3]] == [256, 32, 32]
    users = [set(part.rows.user.tolist()) for part in data[:3]]
    assert not users[0] & users[1] | users[1] & users[2] | users[0] & users[2]
    assert all(part.label.mean() == 0.25 for part in data[:3])


def limited(data, seconds, **fit):
    cfg = TINY.settings("qin", **fit)
    torch.manual_seed(0)
    network = Network(cfg, data.items)
    return network, *fits.fit_within(seconds, cfg, network, data, seed=0)


def test_a_fit_that_runs_out_of_time_keeps_its_best_epoch(data):
    network, report, capped = limited(data, 0)
    assert (capped, len(report.epochs), report.best_epoch) == (True, 1, 1)
    assert auc(data.choose.label, predict(network, data.choose.rows.cut(16))) == report.best_score


@pytest.mark.parametrize(("seconds", "fit"), [(60, {"max_epochs": 2}), (0, {"max_epochs": 1})])
def test_a_fit_that_stops_by_itself_is_not_capped(data, seconds, fit):
    _, report, capped = limited(data, seconds, **fit)
    assert (capped, len(report.epochs)) == (False, fit["max_epochs"])


def test_scores_are_paired_with_float32_by_seed():
    rows = list(scores.scores(replace(TINY, seeds=(0, 1))))
    assert [row["precision"] for row in rows] == ["float32", "bf16"] * 3
    assert len({tuple(row) for row in rows}) == 1
    for exact, bf16 in zip(rows[::2], rows[1::2], strict=True):
        assert exact["network"] == bf16["network"]
        assert exact["difference"] is exact["95 % low"] is None
        assert bf16["difference"] == pytest.approx(bf16["AUC"] - exact["AUC"])
        assert bf16["95 % low"] <= bf16["difference"] <= bf16["95 % high"]
        assert (bf16["seeds"], bf16["diverged"], bf16["capped"]) == (2, 0, 2)


def test_fits_that_diverge_are_counted_and_their_seeds_compared_no_further(monkeypatch):
    fit_within = fits.fit_within

    def diverges(seconds, cfg, network, data, seed):
        if (cfg.fit.precision, seed) in {("float32", 0), ("bf16", 1)}:
            raise FloatingPointError
        return fit_within(seconds, cfg, network, data, seed)

    monkeypatch.setattr(scores, "fit_within", diverges)
    monkeypatch.setattr(scores, "NETWORKS", ("qin",))
    exact, bf16 = scores.scores(replace(TINY, seeds=(0, 1, 2)))
    assert (exact["seeds"], exact["diverged"], bf16["seeds"], bf16["diverged"]) == (2, 1, 2, 1)
    assert bf16["difference sd"] is None  # of seed 2 alone
    assert bf16["95 % low"] is not None


def test_nothing_is_compared_with_float32_that_diverged(monkeypatch):
    def diverges(seconds, cfg, network, data, seed):
        if cfg.fit.precision == "float32":
            raise FloatingPointError
        return fits.fit_within(seconds, cfg, network, data, seed)

    monkeypatch.setattr(scores, "fit_within", diverges)
    monkeypatch.setattr(scores, "NETWORKS", ("qin",))
    monkeypatch.setattr(scores, "precisions", lambda scale: ("float32", "bf16", "bf16"))
    exact, *others = scores.scores(TINY)
    assert (exact["AUC"], exact["diverged"]) == (None, 1)
    for other in others:
        assert (other["seeds"], other["difference"]) == (1, None)


def test_a_whole_run_is_extrapolated_from_epochs_and_predictions(monkeypatch):
    monkeypatch.setattr(convergence, "NETWORKS", ("qin", "din"))
    *rows, total = convergence.convergence(TINY)
    assert [row["network"] for row in (*rows, total)] == ["qin", "din", "all"]
    for row in rows:
        training = row["epoch s"] - row["of it predicting s"]
        predicting = row["of it predicting s"] * 256 / 5 / 32
        expected = 5 * row["epochs"] * (training * 4 / 5 + predicting) / 60
        assert row["5 folds, minutes"] == pytest.approx(expected)
        assert row["capped"]
    assert total["capped"]
    assert total["5 folds, minutes"] == sum(row["5 folds, minutes"] for row in rows)
    assert list(total) == list(rows[0])


def test_two_processes_end_near_one():
    one, two = two_processes.torchrun(TINY)
    assert (one["processes"], two["processes"], one["factor"]) == (1, 2, 1)
    assert 0 < two["logits, largest difference"] < 1e-3
    assert one["ok"]
    assert two["ok"]


def test_one_card_is_not_two(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    rows = list(two_processes.torchrun(replace(TINY, device="cuda")))
    assert rows == [{"processes": "one card: not measured"}]


@pytest.fixture
def real(tmp_path):
    """A scale with a store of 240 train rows, of which every third user is in fold 0."""
    store = tiny_store(tmp_path)
    np.save(tmp_path / "fold.npy", (store.train.user % 3).astype(np.int8))
    return replace(TINY, rows=150, store=tmp_path / "store", folds=tmp_path), store


def test_fold_0_of_a_store_chooses_the_epoch_and_official_valid_judges(real):
    scale, store = real
    data, fold = fits.real(scale), store.train.user % 3
    assert data.train.rows.item.tolist() == store.train.item[fold != 0][:150].tolist()
    assert data.choose.rows.item.tolist() == store.train.item[fold == 0][:64].tolist()
    assert data.choose.label.tolist() == store.train.label[fold == 0][:64].tolist()
    assert data.judge.rows.user.tolist() == store.valid.user.tolist()
    assert data.judge.label.tolist() == store.valid.label.tolist()
    batch = data.judge.rows.batch(torch.arange(60))
    assert batch.items[batch.target].tolist() == store.valid.item.tolist()
    number = store.valid.history
    assert len(batch.history.row) == (store.offsets[number + 1] - store.offsets[number]).sum()


def test_scores_of_a_store_are_measured_where_one_is_given(real, monkeypatch):
    monkeypatch.setattr(scores, "NETWORKS", ("din",))
    assert len(list(scores.scores_on_store(real[0]))) == 2
    assert list(scores.scores_on_store(TINY)) == []
