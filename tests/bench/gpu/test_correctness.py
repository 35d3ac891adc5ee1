"""The checks of bench.gpu.correctness see what they are for: each is broken once."""

import itertools
from dataclasses import replace

import pytest
import torch

from bench.gpu import batches, correctness
from bench.gpu.scale import TOY_SCALE
from bench.tools import challenge_like
from models.batches import feed
from models.layers import ragged
from models.training import fit, update
from models.training.fit import TrainState


def networks(monkeypatch, change) -> list[bool]:
    """The verdicts on QIN's logits, gradients and steps, where `change` alters the device's run."""
    runs, two_steps = [], correctness.two_steps

    def third_is_changed(*arguments):
        runs.append(arguments)
        with monkeypatch.context() as patch:
            if len(runs) == 3:
                change(patch)
            return two_steps(*arguments)

    monkeypatch.setattr(correctness, "two_steps", third_is_changed)
    rows = list(itertools.islice(correctness.networks(TOY_SCALE), 3))
    assert [row["float32"] for row in rows] == ["logits", "gradients", "steps"]
    return [row["ok"] for row in rows]


def scaled(function, factor: float = 1 + 1e-3):
    return lambda *arguments: function(*arguments) * factor


def wrong_gradient(function, factor: float = 2):
    """The same value, and `factor` times the gradient."""

    def changed(*arguments):
        value = function(*arguments)
        if value.requires_grad:
            value.register_hook(lambda grad: factor * grad)
        return value

    return changed


def not_finite(function):
    return scaled(function, torch.nan)


def gradient_not_finite(function):
    return wrong_gradient(function, torch.nan)


def nothing(*arguments) -> None:
    """In place of what is left out."""


def test_a_network_that_is_the_same_passes(monkeypatch):
    assert networks(monkeypatch, nothing) == [True, True, True]


def test_a_wrong_forward_is_seen(monkeypatch):
    found = networks(monkeypatch, lambda p: p.setattr(ragged, "pool", scaled(ragged.pool)))
    assert found[:2] == [False, False]


def test_a_wrong_gradient_is_seen(monkeypatch):
    found = networks(monkeypatch, lambda p: p.setattr(ragged, "pool", wrong_gradient(ragged.pool)))
    assert found[:2] == [True, False]


def test_a_step_without_l2_is_seen(monkeypatch):
    found = networks(monkeypatch, lambda p: p.setattr(update, "add_embedding_l2", nothing))
    assert found == [True, True, False]


def test_steps_that_are_not_finite_are_seen(monkeypatch):
    def step(network, *_):
        for parameter in network.parameters():
            parameter.data.fill_(torch.nan)

    found = networks(monkeypatch, lambda p: p.setattr(correctness, "train_step", step))
    assert found[2] is False


def test_dropout_is_seen_although_the_cpu_has_it_too(monkeypatch):
    monkeypatch.setattr(correctness, "without_dropout", lambda cfg: cfg)
    assert networks(monkeypatch, nothing)[0] is False


def operators() -> set[str]:
    """The checks that do not hold."""
    return {row["check"] for row in correctness.operators(TOY_SCALE) if not row["ok"]}


def test_an_auc_that_takes_ties_as_they_come_is_seen(monkeypatch):
    def without_ties(label, score):
        rank = torch.empty(len(score), dtype=torch.float64)
        rank[score.argsort(stable=True)] = torch.arange(1.0, 1 + len(score), dtype=torch.float64)
        n = int(label.sum())
        return float((rank[label == 1].sum() - n * (n + 1) / 2) / (n * (len(label) - n)))

    monkeypatch.setattr(correctness, "auc", without_ties)
    assert operators() == {"AUC, tied scores, against scikit-learn"}


@pytest.mark.parametrize("change", [scaled, wrong_gradient, not_finite, gradient_not_finite])
@pytest.mark.parametrize("name", ["dot", "pool", "softmax", "of_rows", "of_items"])
def test_a_wrong_operator_is_seen(monkeypatch, name, change):
    monkeypatch.setattr(ragged, name, change(getattr(ragged, name)))
    found = correctness.ragged_against_loops(torch.device("cpu"))
    assert [other for other, error in found.items() if not error < correctness.NEAR] == [name]


def test_batches_of_the_host_in_another_order_are_seen(monkeypatch):
    monkeypatch.setattr(feed, "prefetch", lambda batches: [*batches][::-1])
    assert operators() == {"batches of rows on the host", "batches of rows on disk"}


@pytest.mark.parametrize("change", [{"max_len": 5}, {"label": 1}])
def test_batches_of_the_disk_that_differ_are_seen(monkeypatch, change):
    on_disk = batches.on_disk

    def changed(rows, label, folder, size):
        label = label.roll(change.get("label", 0))
        rows = replace(rows, **{k: v for k, v in change.items() if k != "label"})
        return on_disk(rows, label, folder, size)

    monkeypatch.setattr(batches, "on_disk", changed)
    assert operators() == {"batches of rows on disk"}


FIELDS = ["items", "target", "user", "likes", "views", "position", "row", "offsets", "label"]


@pytest.mark.parametrize("field", FIELDS)
def test_every_tensor_of_a_batch_is_compared(field):
    rows, label = challenge_like.rows(8, 16, 60)
    batch = rows.batch(torch.arange(8))

    def changed(owner, name):
        return replace(owner, **{name: getattr(owner, name) + (name == field)})

    history = batch.history
    for name in FIELDS:
        if hasattr(history, name):
            history = changed(history, name)
        elif name != "label":
            batch = changed(batch, name)
    other = replace(batch, history=history), label + (field == "label")
    same = rows.batch(torch.arange(8)), label
    assert batches.same_batches([same], [same])
    assert not batches.same_batches([same, other], [same, same])


def repeat(monkeypatch) -> list[bool]:
    """The verdicts on FINAL's second fit, and on the one that resumes."""
    monkeypatch.setattr(correctness, "NETWORKS", ("final",))
    return [row["ok"] for row in correctness.repeat(TOY_SCALE)]


def test_equal_fits_are_equal(monkeypatch):
    assert repeat(monkeypatch) == [True, True]


@pytest.mark.parametrize("forgotten", ["shuffle", "random", "optimiser", "network"])
def test_a_resumed_fit_that_forgets_is_seen(monkeypatch, forgotten):
    load = TrainState.load_state_dict

    def without(self, state):
        load(self, state | {forgotten: self.state_dict()[forgotten]})

    monkeypatch.setattr(TrainState, "load_state_dict", without)
    assert repeat(monkeypatch) == [True, False]


def test_a_resumed_fit_whose_best_epoch_is_the_first_is_compared_further(monkeypatch):
    monkeypatch.setattr(correctness, "auc", lambda label, logits: 0.5)  # the first one stays best
    test_a_resumed_fit_that_forgets_is_seen(monkeypatch, "shuffle")


def test_a_fit_that_differs_from_run_to_run_is_seen(monkeypatch):
    seeds = itertools.count()
    monkeypatch.setattr(fit.distributed, "rank_seed", lambda seed: next(seeds))
    assert repeat(monkeypatch)[0] is False
