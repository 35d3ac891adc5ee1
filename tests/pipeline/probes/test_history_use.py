"""What trained networks read of a history."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.settings import DinSettings, TransformerSettings
from models.training.fit import predict
from pipeline.probes import history_use, perturbations
from tests.helpers.networks.small import network, rows, settings

NETWORKS = {
    "asta": settings(item_levels=True, item_codes=True),
    "din": settings(interest="din", din=DinSettings(hidden=(6, 4))),
    "din_softmax": settings(interest="din", din=DinSettings(hidden=(6, 4), softmax=True)),
    "mean": settings(interest="mean"),
    "transformer": settings(
        interest="transformer", transformer=TransformerSettings(feedforward=5, last=2)
    ),
}
INVERTED = settings(
    interest="transformer",
    transformer=TransformerSettings(feedforward=5, last=2, mask="as_published"),
)


def examined(s) -> dict:
    made, label = rows(n_rows=40)
    return history_use.examine(network(s), made, label.numpy())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_reads_real_items_and_no_padding(name):
    entry = examined(NETWORKS[name])
    assert entry["padding"] == {"largest_change": 0.0, "passed": True}
    assert entry["history"]["passed"]


def test_the_inverted_mask_of_the_winning_entry_fails_both():
    entry = examined(INVERTED)
    assert not entry["padding"]["passed"]
    assert not entry["history"]["passed"]


def test_a_network_that_reads_older_items_is_detected():
    made, _ = rows()
    net, changed = (
        network(NETWORKS["mean"]),
        perturbations.with_other_items(made, perturbations.older(made)),
    )
    assert perturbations.older(made).sum() == 1  # of the one history of five, max_len 4
    assert torch.equal(predict(net, made), predict(net, changed))
    longer = predict(net, made.cut(5)) - predict(net, changed.cut(5))
    assert longer.abs().max() > 1e-3


def test_other_items_are_real_and_differ():
    made, _ = rows()
    changed = perturbations.with_other_items(made, torch.ones_like(made.values, dtype=torch.bool))
    assert (changed.values != made.values).all()
    assert changed.values.min() >= 1
    assert changed.values.max() < made.n_items


def test_exchanged_histories_are_those_of_one_other_user():
    made, _ = rows(n_rows=10)
    own = {int(u): set(made.history[made.user == u].tolist()) for u in made.user.unique()}
    history = torch.arange(len(made)).int()  # a history of its own for every row
    made = replace(made, history=history)
    exchanged = perturbations.with_histories_of_other_users(made)
    owner = made.user[exchanged.history.long()]
    assert (owner != made.user).all()
    for user in own:
        assert len(set(exchanged.history[made.user == user].tolist())) == 1
    assert len(owner.unique()) == len(own)


def test_a_history_without_information_has_no_worth():
    rng = np.random.default_rng(0)
    label, user = np.arange(400) % 2, torch.arange(400) // 4
    logit, other_user = torch.from_numpy(rng.normal(size=(2, 400)))
    assert not history_use.worth(label, logit, other_user, user)["helps"]
    helpful = history_use.worth(label, logit + 2 * torch.from_numpy(label), other_user, user)
    assert helpful["helps"]
    assert helpful["gain"] == pytest.approx(helpful["auc"] - helpful["auc_shuffled"], abs=1e-5)


def test_what_the_rows_cannot_tell_is_neither_a_pass_nor_a_failure():
    made, label = rows(n_rows=40)
    net, label = network(NETWORKS["mean"]), label.numpy()
    empty = replace(made, history=torch.zeros_like(made.history))  # of the history without items
    nothing = history_use.examine(net, empty, label)
    assert nothing["padding"]["passed"] is nothing["history"]["passed"] is None
    assert nothing["history"]["moved"] == 0
    assert nothing["shuffled"]["helps"] is None
    one_user = history_use.examine(net, replace(made, user=torch.zeros_like(made.user)), label)
    assert one_user["history"]["passed"]


def test_one_item_has_no_other():
    made, _ = rows()
    one = replace(made, values=torch.ones_like(made.values), n_items=2)
    everywhere = torch.ones_like(made.values, dtype=torch.bool)
    assert torch.equal(perturbations.with_other_items(one, everywhere).values, one.values)
