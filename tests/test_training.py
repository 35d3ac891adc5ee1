"""What 50_train says and refuses.   run: ./run_tests.sh tests/test_training.py"""

from dataclasses import replace

import numpy as np
import pytest

from features.errors import InputError
from features.store import Items
from models.fit import FitReport
from models.settings import NetworkSettings
from pipeline import training
from pipeline.training import item_table, rises

PLAIN = NetworkSettings(interest="asta", interaction="qnn")
ITEMS = Items(tags=np.array([[0, 0], [0, 3]]), content=np.zeros((2, 4), np.float32))


def curve(*losses):
    return FitReport(epochs=[{"loss": loss} for loss in losses])


def test_a_training_loss_that_rises_is_found_and_noise_is_not():
    assert rises(curve(0.6, 0.5, 0.505, 0.4)) == []
    assert rises(curve(0.6137, 0.5397, 0.5818)) == [(3, 0.5397, 0.5818)]


def test_an_unstable_fit_says_where_and_what_to_lower(capsys):
    training._warn(("qin", 0, 1), curve(0.5, 0.6), PLAIN)
    said = capsys.readouterr().out
    assert "qin seed 0 fold 1: unstable, the training loss rose from 0.5000 to 0.6000" in said
    assert "in epoch 2; lower qin.fit.learning_rate or qin.qnn.rows" in said
    training._warn(("din", 0, 1), curve(0.5, 0.6), replace(PLAIN, interaction="mlp"))
    assert "qnn" not in capsys.readouterr().out


def test_items_without_levels_or_codes_are_refused_where_a_network_wants_them():
    assert item_table(ITEMS, PLAIN, "qin").n_tags == 4
    with pytest.raises(InputError, match=r"qin.item_levels = true needs .* item_feature.parquet"):
        item_table(ITEMS, replace(PLAIN, item_levels=True), "qin")
    with pytest.raises(InputError, match=r"qin.item_codes = true needs .* prepare.codes=3"):
        item_table(ITEMS, replace(PLAIN, item_codes=True), "qin")
