"""Columns reach fits fold by fold; what a run reads, and what cannot be, is named."""

import json
from importlib import import_module

import numpy as np
import polars as pl
import pytest
import torch

from features import column_codes, table
from features.columns import item_time
from features.errors import InputError
from features.store.store import open_store
from models.training.fit import PREDICT_ROWS, predict
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.config.load import load
from pipeline.graph import OFFICIAL
from pipeline.probes import history_use
from pipeline.training.context import TrainingContext
from tests.helpers.tiny_runs import run_stages

STAGES = ("20_folds", "25_prefixes", "30_features")


@pytest.fixture(scope="module")
def overrides(tmp_path_factory):
    """Overrides of a tiny run whose columns are written; of two networks, din reads them."""
    own = [f"data.{name}=60" for name in ("users", "valid_users", "test_users")]
    own += ["data.items=200", "network.embedding_dim=4", "network.fit.batch_size=32", "folds.n=2"]
    own += ["models=din,qin", "network.fit.max_epochs=1", "din.columns=true"]
    own += ["network.fit.prefixes=2", f"artifacts={tmp_path_factory.mktemp('a')}"]
    run_stages(own, "00_data", "10_prepare", *STAGES)
    return own


@pytest.fixture(scope="module")
def context(overrides) -> TrainingContext:
    return TrainingContext.of_run(load("sample", overrides))


def equal(ours: torch.Tensor | None, theirs: torch.Tensor | None) -> bool:
    return ours is theirs is None or torch.equal(ours, theirs)


def codes(context: TrainingContext, name: str, fold: int) -> torch.Tensor:
    return torch.tensor(column_codes.load(context.inputs["features"], name, fold))


def test_a_fit_reads_the_codes_of_its_fold(context):
    din, train = context.settings.networks["din"], codes(context, "train", OFFICIAL)
    for fold in (0, 1):
        split = context.split(fold, din)
        assert torch.equal(split.held.columns, train[context.fold == fold])
        stop = (context.fold != fold) & (context.part == fold)
        assert torch.equal(split.stop.columns, train[stop])
        assert torch.equal(split.train.columns, train[(context.fold != fold) & ~stop])
        for name in ("valid", "test"):
            rows = context.rows_of(name, din, fold)
            assert torch.equal(rows.columns, codes(context, name, fold))
            assert not torch.equal(rows.columns, codes(context, name, 1 - fold))


def test_the_rows_that_55_mask_examines_have_their_own_codes(context, monkeypatch):
    monkeypatch.setattr(history_use, "ROWS", 60)
    few, _ = history_use.valid_rows(context, 1, context.settings.networks["din"])
    examined = torch.isin(context.rows["valid"].user, few.user)
    assert torch.equal(few.columns, codes(context, "valid", 1)[examined])
    assert 0 < examined.sum() < len(examined)
    assert not examined[: len(few)].all()


def test_prefixes_of_a_fit_have_columns_of_their_own(context):
    din = context.settings.networks["din"]
    split = context.split(0, din)
    both, n_prefixes = context.with_prefixes(split, 0, din.fit)
    all_codes = torch.tensor(np.load(context.inputs["prefix_codes"] / column_codes.PREFIXES))
    kept = (context.prefixes.fold != 0) & (context.prefixes.part != 0)
    assert n_prefixes == kept.sum() > 0
    assert torch.equal(both.train.columns[: len(split.train)], split.train.columns)
    assert torch.equal(both.train.columns[len(split.train) :], all_codes[kept])


def test_prefixes_are_coded_by_the_borders_that_were_written(overrides, monkeypatch):
    s, stage = load("sample", overrides), import_module("pipeline.30_features")
    path = require(graph.prefix_codes(s)) / column_codes.PREFIXES
    before = path.read_bytes()
    monkeypatch.setattr(column_codes, "borders_of", None)  # no column is sorted again
    stage.write_prefixes(s, True)
    assert path.read_bytes() == before


def test_rows_on_disk_have_the_codes_of_rows_in_memory(overrides, monkeypatch):
    monkeypatch.setitem(PREDICT_ROWS, "cpu", 16)
    own = [*overrides, "network.fit.prefixes=0"]
    memory, disk = (
        TrainingContext.of_run(load("sample", [*own, f"train.rows={home}"]))
        for home in ("auto", "stream")
    )
    for model in ("din", "qin"):  # qin has no columns
        cfg, network = memory.settings.networks[model], memory.network(model, 0)
        state, same = network.state_dict(), disk.network(model, 0).state_dict()
        assert all(torch.equal(state[name], same[name]) for name in state | same)
        for fold in (0, 1):
            ours, theirs = (context.split(fold, cfg) for context in (disk, memory))
            for rows in ("train", "stop", "held"):
                on_disk, in_memory = getattr(ours, rows).load(), getattr(theirs, rows)
                assert equal(on_disk.columns, in_memory.columns)
                assert torch.equal(predict(network, on_disk), predict(network, in_memory))
            for name in ("valid", "test"):
                logits = memory.predict(network, name, cfg, fold)
                assert torch.equal(disk.predict(network, name, cfg, fold), logits)
            (masked, _), (same_masked, _) = (
                history_use.valid_rows(context, fold, cfg) for context in (disk, memory)
            )
            assert equal(masked.columns, same_masked.columns)


def test_codes_of_rows_on_disk_need_memory_of_their_own(overrides):
    """A row takes 34 + 4 x 50 bytes, and with its codes more than 256: 1 MiB is too little."""
    own = [word for word in overrides if word != "din.columns=true"]
    own += ["network.fit.prefixes=0", "network.max_len=50", "train.rows=stream", "train.memory=1"]
    assert TrainingContext.of_run(load("sample", own)).rows["train"].n_codes == 0
    with pytest.raises(InputError, match=r"^train.memory=1 .* of 1024 rows of din need: .*=2 or"):
        TrainingContext.of_run(load("sample", [*own, "din.columns=true"]))


def test_networks_without_columns_get_none(context):
    qin = context.settings.networks["qin"]
    split = context.split(0, qin)
    parts = split.train, split.stop, split.held, context.rows_of("valid", qin, 0)
    assert all(rows.columns is None for rows in parts)
    both, _ = context.with_prefixes(split, 0, qin.fit)
    assert both.train.columns is None


def test_only_fits_with_columns_depend_on_the_features(overrides):
    s = load("sample", overrides)
    for (model, _, _), spec in graph.fits(s).items():
        assert ("features" in spec.inputs) == ("prefix_codes" in spec.inputs) == (model == "din")
    few = load("sample", [*overrides, "network.fit.prefixes=0"])
    assert "prefix_codes" not in graph.fits(few)["din", 0, 0].inputs
    assert [spec.name for spec in graph.OUTPUTS["30_features"](s)] == ["features", "prefixes"]
    assert [spec.name for spec in graph.OUTPUTS["30_features"](few)] == ["features"]
    assert [*graph.training_inputs(s, [s.networks["qin"]])] == ["store", "folds", "prefixes"]


def test_a_study_that_may_try_columns_reads_them(overrides, monkeypatch):
    own = [word for word in overrides if not word.startswith(("models", "din", "network.fit.pre"))]
    s = load("sample", [*own, "models=qin", "tune.models=qin", "tune.trials=1"])
    assert "features" not in graph.tunings(s)["qin"].inputs
    space = {"columns": None, "fit.learning_rate": None}
    monkeypatch.setattr(graph.search_space, "load", lambda model, network: space)
    assert [*graph.training_inputs(s, graph.possible(s))] == ["store", "folds", "features"]


def test_trials_on_some_users_keep_their_codes(context):
    few = context.of_users(0.5, seed=0)
    users = few.rows["train"].user.unique()
    drawn = torch.isin(context.rows["train"].user, users)
    assert 0 < drawn.sum() < len(drawn)
    assert torch.equal(few.rows["train"].columns, codes(context, "train", OFFICIAL)[drawn])


def test_trials_on_some_users_need_no_columns_of_another_network(overrides):
    own = [word for word in overrides if word != "folds.n=2"] + ["folds.mode=official"]
    run_stages(own, "20_folds", "25_prefixes")
    s = load("sample", own)
    specs = graph.training_inputs(s, [s.networks["qin"]])
    inputs = {name: require(spec) for name, spec in specs.items()}
    assert "features" not in inputs
    few = TrainingContext.open(s, inputs).of_users(0.5, seed=0)
    assert 0 < len(few.rows["train"]) < len(few.store.train)


def test_in_official_mode_no_train_row_describes_itself(overrides):
    """Its columns are fitted outside folds of whole users; valid's and test's on all rows."""
    own = [word for word in overrides if word != "folds.n=2"]
    run_stages([*own, "folds.mode=official"], *STAGES)
    context = TrainingContext.of_run(load("sample", [*own, "folds.mode=official"]))
    din = context.settings.networks["din"]
    split = context.split(OFFICIAL, din)
    assert torch.equal(split.train.columns, codes(context, "train", OFFICIAL))
    assert torch.equal(split.held.columns, codes(context, "valid", OFFICIAL))
    assert not (context.inputs["features"] / "valid-fold0.parquet").exists()
    stage = import_module("pipeline.30_features")
    fold = stage.folds_of(context.settings, context.store.train)
    users = np.unique(np.stack([context.store.train.user, fold]), axis=1)
    assert len(users[0]) == len(np.unique(users[0]))  # a user is in one fold
    assert sorted(set(fold.tolist())) == [0, 1, 2, 3, 4]
    trained = context.train(("din", 0, OFFICIAL), lambda items, _: items, lambda *_: None)
    assert trained.network.columns.width == split.train.columns.shape[1] + len(
        trained.network.columns.nulls
    )


def test_in_official_mode_without_columns_every_feature_is_fitted_once(overrides, monkeypatch):
    own = [word for word in overrides if word not in ("folds.n=2", "din.columns=true")]
    own += ["folds.mode=official", "network.fit.prefixes=0"]
    s, n_rows, fit = load("sample", own), [], item_time.fit
    monkeypatch.setattr(
        item_time, "fit", lambda store, rows: n_rows.append(len(rows)) or fit(store, rows)
    )
    run_stages(own, "20_folds", "30_features")
    store, folder = open_store(require(graph.store(s))), require(graph.features(s))
    assert n_rows == [len(store.train)]
    tables = table.build(store, np.full(len(store.train), -1, np.int8))
    assert {path.name for path in folder.glob("*.parquet")} == {
        f"{name}.parquet" for name in tables
    }
    for name, rows in tables.items():
        assert pl.read_parquet(folder / f"{name}.parquet").equals(rows)
    assert not (folder / column_codes.FOLDER).exists()  # train rows would tell their labels
    assert graph.features(load("sample", [*own, "din.columns=true"])).path != folder


def test_what_cannot_have_columns_is_refused(overrides, monkeypatch):
    with pytest.raises(InputError, match=r"rules=strict refuses din.columns: .* given features"):
        load("sample", [*overrides, "rules=strict"])
    stage = import_module("pipeline.30_features")
    monkeypatch.setattr(stage, "folds_up_to", lambda *_, **__: None)
    own = [word for word in overrides if word != "folds.n=2"]
    with pytest.raises(InputError, match=r"do not make two folds with both labels each: use more"):
        stage.work(load("sample", [*own, "folds.mode=official"]), False)


def test_fits_with_columns_are_written_and_examined(overrides):
    own = [word for word in overrides if not word.startswith("models")] + ["models=din"]
    run_stages(own, "50_train", "55_mask")
    s = load("sample", own)
    for fit in graph.fits(s).values():
        state = torch.load(require(fit) / "model.pt", weights_only=True)
        assert {"columns.nulls", "columns.norm.weight"} <= state.keys()
    entry = json.loads((require(graph.mask(s)) / "mask.json").read_text())["models"]["din"]
    assert entry["columns"]["auc"] == entry["shuffled"]["auc"]
    assert entry["columns"]["auc"] != entry["columns"]["auc_shuffled"]
