"""What 50_train says and refuses."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from features.errors import InputError
from features.store.store import Items
from models.settings import NetworkSettings
from models.training.fit import FitReport, predict
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.config import load as load_config
from pipeline.graph import OFFICIAL
from pipeline.probes import history_use
from pipeline.training import fits as training
from pipeline.training.context import TrainingContext, item_table
from pipeline.training.fits import rises

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


def opened(words, *more):
    s = load_config.load("sample", [*words, *more])
    return TrainingContext.open(s, require(graph.store(s)), require(graph.folds(s)))


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Words of a tiny run whose rows are prepared."""
    sizes = [f"data.{name}=60" for name in ("users", "valid_users", "test_users")]
    tiny = ["data.items=200", "network.embedding_dim=4", "network.fit.batch_size=32", "folds.n=2"]
    fits = ["models=din", "network.fit.max_epochs=1", f"artifacts={tmp_path_factory.mktemp('a')}"]
    given = [*sizes, *tiny, *fits]
    for stage in ("00_data", "10_prepare", "20_folds"):
        importlib.import_module(f"pipeline.{stage}").work(load_config.load("sample", given), False)
    return given


def test_rows_on_disk_are_held_out_and_predicted_as_rows_in_memory_are(words):
    memory, disk = (opened(words, *more) for more in ((), ("train.rows=stream",)))
    network = memory.network("din", 0)
    for fold in (0, 1, OFFICIAL):
        train, _, held, held_label, ids = memory._split(fold, 16)
        train_on_disk, _, held_on_disk, same_label, same_ids = disk._split(fold, 16)
        assert torch.equal(train_on_disk.load().user, train.user)
        assert torch.equal(predict(network, held_on_disk), predict(network, held))
        assert torch.equal(same_label, held_label)
        assert np.array_equal(same_ids, ids) if fold != OFFICIAL else same_ids is None
    for split in ("valid", "test"):
        want = memory.predict(network, split, memory.settings.networks["din"])
        assert torch.equal(disk.predict(network, split, disk.settings.networks["din"]), want)
    (rows, label), (same_rows, same) = (history_use.valid_rows(bench) for bench in (memory, disk))
    assert np.array_equal(label, same)
    assert torch.equal(rows.user, same_rows.user)
    assert torch.equal(disk.network("din", 0).embedding_tables()[0], network.embedding_tables()[0])


def test_a_fit_on_rows_on_disk_is_one_of_its_own_and_repeats_itself(words):
    places_of = [
        graph.fits(load_config.load("sample", [*words, *more]))["din", 0, 0].path
        for more in ((), ["train.rows=host"], ["train.rows=stream"])
    ]
    assert places_of[0] == places_of[1] != places_of[2]
    quiet = {"progress": lambda items, _: items, "each_epoch": lambda epoch, record: None}
    fits = [opened(words, "train.rows=stream").train(("din", 0, 0), **quiet) for _ in range(2)]
    (_, first, n_rows, ids), (_, second, _, _) = fits
    assert torch.equal(first.held_logits, second.held_logits)
    assert n_rows + len(ids) == 4 * 60


def test_memory_that_may_not_hold_a_batch_names_what_does(words):
    more = ["train.rows=stream", "train.memory=1", "network.max_len=64"]
    with pytest.raises(InputError, match=r"train.memory=1 .* batches of 1024 rows of din") as error:
        opened(words, *more)
    enough = str(error.value).split()[-3]
    assert opened(words, more[0], enough, more[2]).rows["train"].memory == 2 << 20


def test_folds_of_an_earlier_version_say_what_writes_them_again(words, tmp_path):
    s = load_config.load("sample", [*words, "train.rows=stream"])
    with pytest.raises(InputError, match=r"fold.npy is missing.*20_folds and --force"):
        TrainingContext.open(s, require(graph.store(s)), tmp_path)
