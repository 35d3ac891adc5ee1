"""A new interaction part needs no serving form to train, to predict and to be scored."""

from dataclasses import replace

import pytest
import torch

from cv.auc import auc
from models import network as networks
from models.serving.interest import NoServingForm
from models.serving.network import ServingNetwork
from models.training.fit import fit, predict
from tests.helpers.small import network, rows, settings
from tests.helpers.toy_interaction import ToyInteraction

ROWS, LABEL = rows(n_rows=16)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(networks, "build_interaction", lambda cfg, width: ToyInteraction(width))
    return network(settings())


def test_it_trains_and_every_epoch_is_scored(toy):
    before = toy.interaction.map.weight.clone()
    cfg = replace(settings().fit, max_epochs=2, patience=2)
    report = fit(toy, ROWS, LABEL, ROWS, LABEL, cfg, seed=0, score=auc)
    assert len(report.epochs) == 2
    assert 0 <= report.best_score <= 1
    assert not torch.equal(toy.interaction.map.weight, before)


def test_it_predicts_through_its_own_forward(toy):
    batch = ROWS.batch(torch.arange(16))
    with torch.no_grad():
        want = toy.eval().interaction(toy.features(batch)).mean(1)
    assert torch.equal(predict(toy, ROWS), want)


def test_it_is_named_where_it_would_be_served(toy):
    said = "the interaction part ToyInteraction has no serving form: give it a method fused"
    with pytest.raises(NoServingForm, match=said):
        ServingNetwork(toy, 4)
