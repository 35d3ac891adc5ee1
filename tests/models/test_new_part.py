"""A new interaction part needs no serving form to train, to predict and to be scored."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cv.auc import auc
from models import network as networks
from models.serving.interest import NoServingForm
from models.serving.network import ServingNetwork
from models.settings import INTERACTIONS, INTERESTS, TransformerSettings
from models.training.fit import fit, predict
from tests.helpers.networks.small import network, rows, settings
from tests.helpers.networks.toy_interaction import ToyInteraction

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.mark.parametrize("kind", ["interest", "interaction"])
def test_a_part_that_nothing_builds_is_named_with_the_choices(kind, monkeypatch):
    with pytest.raises(ValueError, match=f"{kind} = 'toy', expected one of .*, "):
        network(settings(**{kind: "toy"}))
    monkeypatch.setattr(networks, f"{kind.upper()}S", ("toy",))
    with pytest.raises(ValueError, match=f"{kind} = 'toy' needs its case in build_{kind}, models/"):
        network(settings(**{kind: "toy"}))


@pytest.mark.parametrize("part", INTERESTS)
def test_every_choice_of_interest_is_built(part):
    network(settings(interest=part, transformer=TransformerSettings(last=2)))


@pytest.mark.parametrize("part", INTERACTIONS)
def test_every_choice_of_interaction_is_built(part):
    network(settings(interaction=part))


def test_training_imports_nothing_of_serving():
    code = (
        "import models.training.fit, models.fields.network, sys;"
        " print([name for name in sys.modules if name.startswith('models.serving')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_it_is_named_where_it_would_be_served(toy):
    message = "the interaction part ToyInteraction has no serving form: give it a method fused"
    with pytest.raises(NoServingForm, match=message):
        ServingNetwork(toy, 4)
