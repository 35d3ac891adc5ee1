"""What 50_train prints and refuses; rows in memory and on disk."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cv.auc import auc
from features.errors import InputError
from features.store.store import Items
from models.settings import NetworkSettings
from models.training.fit import predict
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.config.load import load
from pipeline.graph import OFFICIAL
from pipeline.probes import history_use
from pipeline.training.context import TrainingContext
from pipeline.training.item_tables import item_table
from tests.helpers.tiny_runs import run_stages

PLAIN = NetworkSettings(interest="asta", interaction="qnn")
ITEMS = Items(tags=np.array([[0, 0], [0, 3]]), content=np.zeros((2, 4), np.float32))


def test_items_without_levels_or_codes_are_refused_where_a_network_wants_them():
    assert item_table(ITEMS, PLAIN, "qin").n_tags == 4
    with pytest.raises(InputError, match=r"qin.item_levels = true needs .* item_feature.parquet"):
        item_table(ITEMS, replace(PLAIN, item_levels=True), "qin")
    with pytest.raises(InputError, match=r"qin.item_codes = true needs .* prepare.codes=3"):
        item_table(ITEMS, replace(PLAIN, item_codes=True), "qin")


def open_context(overrides, *more) -> TrainingContext:
    s = load("sample", [*overrides, *more])
    return TrainingContext.of_run(s)


@pytest.fixture(scope="module")
def overrides(tmp_path_factory):
    """Overrides of a tiny run whose rows are prepared."""
    sizes = [f"data.{name}=60" for name in ("users", "valid_users", "test_users")]
    tiny = ["data.items=200", "network.embedding_dim=4", "network.fit.batch_size=32", "folds.n=2"]
    own = ["models=din", "network.fit.max_epochs=1", f"artifacts={tmp_path_factory.mktemp('a')}"]
    run_stages(sizes + tiny + own, "00_data", "10_prepare", "20_folds")
    return sizes + tiny + own


def test_rows_on_disk_are_held_out_and_predicted_as_rows_in_memory_are(overrides):
    memory, disk = open_context(overrides), open_context(overrides, "train.rows=stream")
    network_cfg, network = memory.settings.networks["din"], memory.network("din", 0)
    for fold in (0, 1, OFFICIAL):
        in_memory, on_disk = (context.split(fold, network_cfg) for context in (memory, disk))
        for ours, theirs in zip(on_disk[:4:2], in_memory[:4:2], strict=True):  # train, stop
            assert torch.equal(ours.load().user, theirs.user)
        assert torch.equal(on_disk.stop_label, in_memory.stop_label)
        assert torch.equal(on_disk.train.labels(on_disk.label), in_memory.label)
        assert torch.equal(predict(network, on_disk.held), predict(network, in_memory.held))
        assert torch.equal(on_disk.held_label, in_memory.held_label)
        if fold == OFFICIAL:
            assert in_memory.held_ids is on_disk.held_ids is None
        else:
            assert np.array_equal(on_disk.held_ids, in_memory.held_ids)
    for name in ("valid", "test"):
        logits = memory.predict(network, name, network_cfg, 0)
        assert torch.equal(disk.predict(network, name, network_cfg, 0), logits)
    (rows, label), (same_rows, same_label) = (
        history_use.valid_rows(context, 0, network_cfg) for context in (memory, disk)
    )
    assert np.array_equal(label, same_label)
    assert torch.equal(rows.user, same_rows.user)
    assert torch.equal(disk.network("din", 0).embedding_tables()[0], network.embedding_tables()[0])


def test_a_fit_on_rows_on_disk_has_an_artifact_of_its_own_and_repeats_itself(overrides):
    paths = [
        graph.fits(load("sample", [*overrides, *more]))["din", 0, 0].path
        for more in ((), ["train.rows=host"], ["train.rows=stream"])
    ]
    assert paths[0] == paths[1] != paths[2]
    quiet = {"progress": lambda items, _: items, "each_epoch": lambda epoch, record: None}
    first, second = (
        open_context(overrides, "train.rows=stream").train(("din", 0, 0), **quiet)
        for _ in range(2)
    )  # fmt: skip
    assert torch.equal(first.held_logits, second.held_logits)
    n_stop = len(first.report.held_logits)
    assert n_stop == 4 * 60 / 2 / 10
    assert first.n_rows + n_stop + len(first.held_ids) == 4 * 60


def test_labels_of_a_fold_decide_nothing_about_its_fits(overrides):
    own = ["network.fit.max_epochs=6", "network.fit.learning_rate=0.01", "network.fit.patience=6"]
    context = open_context(overrides, *own)
    label = context.label["train"]
    flipped = replace(
        context, label=context.label | {"train": torch.where(context.fold == 1, 1 - label, label)}
    )
    quiet = {"progress": lambda items, _: items, "each_epoch": lambda epoch, record: None}
    ours, theirs = (c.train(("din", 0, 1), **quiet) for c in (context, flipped))
    assert ours.held_logits.numpy().tobytes() == theirs.held_logits.numpy().tobytes()
    assert ours.report.best_epoch == theirs.report.best_epoch
    assert ours.auc == pytest.approx(1 - theirs.auc)
    label = context.split(1, context.settings.networks["din"]).held_label
    assert auc(label, ours.held_logits) == ours.auc

    by_fold = replace(context, part=None), replace(flipped, part=None)  # folds.stop_users=0
    first, second = (c.train(("din", 0, 1), **quiet).report.best_epoch for c in by_fold)
    assert first != second


def test_too_little_memory_for_a_batch_names_what_suffices(overrides):
    more = ["train.rows=stream", "train.memory=1", "network.max_len=64"]
    with pytest.raises(InputError, match=r"train.memory=1 .* batches of 1024 rows of din") as error:
        open_context(overrides, *more)
    enough = str(error.value).split()[-3]
    context = open_context(overrides, more[0], enough, more[2])
    assert context.rows["train"].memory == 2 << 20


def test_a_listwise_loss_is_refused_on_rows_on_disk_and_where_there_are_no_slates(overrides):
    more = ["din.fit.loss=listwise", "din.fit.listwise_share=1"]
    with pytest.raises(InputError, match=r"train.rows=stream .* din.fit.loss=listwise needs whole"):
        open_context(overrides, *more, "train.rows=stream")
    context, quiet = open_context(overrides, *more), {"progress": None, "each_epoch": None}
    data = context.rows["train"]
    alone = replace(data, user=torch.arange(len(data), dtype=torch.int32))
    context = replace(context, rows=context.rows | {"train": alone})
    with pytest.raises(InputError, match=r"^din.fit.loss=listwise: no two rows share a user and"):
        context.train(("din", 0, 0), **quiet)


def test_folds_of_an_earlier_version_name_the_command_that_writes_them_again(overrides, tmp_path):
    s = load("sample", [*overrides, "train.rows=stream"])
    with pytest.raises(InputError, match=r"fold.npy is missing.*20_folds and --force"):
        TrainingContext.open(s, {"store": require(graph.store(s)), "folds": tmp_path})


def test_a_precision_that_the_device_lacks_is_refused_before_any_fit(overrides):
    more = ["models=din,qin", "qin.fit.precision=tf32", "train.device=cpu", "train.workers=1"]
    with pytest.raises(InputError, match=r"^qin\.fit\.precision=tf32, but cpu does not multiply"):
        run_stages([*overrides, *more], "50_train")
    specs = graph.fits(load("sample", [*overrides, *more]))
    assert not any(spec.done for spec in specs.values())
    context = open_context(overrides, *more)  # predictions work: they are always exact
    assert len(predict(context.network("qin", 0), context.rows["test"].cut(16)))
