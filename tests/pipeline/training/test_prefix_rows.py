"""Prefixes train the fits of other users, and do nothing else."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from features.errors import InputError
from features.prefixes import open_prefixes
from models.batches.rows import Rows
from models.fit_settings import FitSettings
from models.training.losses import loss, loss_of_logits
from pipeline import graph
from pipeline.artifacts.spec import record, require
from pipeline.config import search_space
from pipeline.config.load import load
from pipeline.graph import OFFICIAL
from pipeline.training import fits
from pipeline.training.context import FitRows, TrainingContext
from pipeline.training.prefix_rows import PrefixRows
from pipeline.tuning import trials
from pipeline.tuning.studies import Search
from tests.helpers.tiny_runs import run_stages

LAST = 3
WANTED = f"din.fit.prefixes={LAST}"
QUIET = {"progress": lambda items, _: items, "each_epoch": lambda epoch, record: None}


@pytest.fixture(scope="module")
def overrides(tmp_path_factory) -> list[str]:
    """Overrides of a tiny run whose rows and prefixes are prepared."""
    sizes = [f"data.{name}=60" for name in ("users", "valid_users", "test_users")]
    tiny = ["data.items=200", "network.embedding_dim=4", "network.fit.batch_size=32", "folds.n=2"]
    own = ["models=din", "network.fit.max_epochs=1", f"artifacts={tmp_path_factory.mktemp('a')}"]
    run_stages([*sizes, *tiny, *own, WANTED], "00_data", "10_prepare", "20_folds", "25_prefixes")
    return [*sizes, *tiny, *own]


def open_context(overrides, *more) -> TrainingContext:
    return TrainingContext.of_run(load("sample", [*overrides, WANTED, *more]))


@pytest.fixture(scope="module")
def context(overrides) -> TrainingContext:
    return open_context(overrides)


def with_prefixes(context: TrainingContext, fold: int, **fit) -> tuple[FitRows, int]:
    network_cfg = context.settings.networks["din"]
    cfg = replace(network_cfg.fit, **fit)
    return context.with_prefixes(context.split(fold, network_cfg), fold, cfg)


def without(context: TrainingContext, fold: int) -> FitRows:
    return context.split(fold, context.settings.networks["din"])


def users(rows: Rows) -> set[int]:
    return {*rows.user.tolist()}


@pytest.mark.parametrize("fold", [0, 1])
def test_no_prefix_of_a_user_who_judges_or_chooses_epochs_trains(context, fold):
    split, n = with_prefixes(context, fold)
    plain = without(context, fold)
    assert not users(split.train) & (users(split.held) | users(split.stop))
    assert len(split.train) == len(plain.train) + n == len(split.label)
    assert (len(split.stop), len(split.held)) == (len(plain.stop), len(plain.held))
    more = split.train.take(torch.arange(len(plain.train), len(split.train)))
    made = open_prefixes(require(graph.prefixes(context.settings)))
    theirs = np.isin(made.split.user, [*users(plain.train)])
    assert n == theirs.sum() > 0
    assert users(more) <= users(plain.train)
    for name in ("user", "item", "likes", "views"):
        assert getattr(more, name).tolist() == getattr(made.split, name)[theirs].tolist()
    assert split.label[len(plain.train) :].tolist() == made.split.label[theirs].tolist()


def test_in_official_mode_all_train_users_train_and_prefixes_are_of_them_alone(context):
    split, n = with_prefixes(context, OFFICIAL)
    assert n == len(context.prefixes) > 0
    assert users(split.train) == {*context.store.train.user.tolist()}
    assert split.stop is split.held
    assert len(split.held) == len(context.store.valid)


def test_a_fit_takes_its_own_number_of_prefixes_and_none_where_it_wants_none(context):
    counts = [with_prefixes(context, 0, prefixes=last)[1] for last in (0, 1, 2, 3, 9)]
    assert counts == sorted(counts)
    assert counts[0] == 0 < counts[1] < counts[2] < counts[3] == counts[4]
    rank = context.prefixes.of_fit(0, 0, last=2).rank
    assert {*rank.tolist()} == {0, 1}


def test_a_batch_holds_the_history_before_the_click(context):
    split, n = with_prefixes(context, OFFICIAL)
    store, made = context.store, open_prefixes(require(graph.prefixes(context.settings)))
    index = torch.arange(len(split.train) - n, len(split.train))
    batch = split.train.cut(5).batch(index)
    assert split.train.values is context.rows["train"].values  # nothing is copied
    for i in range(n):
        place = slice(*batch.history.offsets[i : i + 2].tolist())
        seen = batch.items[batch.history.position[place]].tolist()
        p = made.split.history[i]
        assert seen == store.values[made.begin[p] : made.end[p]][-5:].tolist()
        if made.split.label[i]:
            assert int(batch.items[batch.target[i]]) not in seen


def test_a_share_of_the_users_has_its_own_prefixes_alone(context):
    few = context.of_users(0.5, seed=0)
    theirs = users(few.rows["train"])
    assert users(few.prefixes.rows) <= theirs
    n = np.isin(context.prefixes.rows.user.numpy(), [*theirs]).sum()
    assert 0 < len(few.prefixes) == n < len(context.prefixes)
    split, _ = with_prefixes(few, 0)
    assert not users(split.train) & (users(split.held) | users(split.stop))


def test_slates_of_prefixes_are_whole_in_batches_of_slates(context):
    split, n = with_prefixes(context, 0, loss="listwise")
    data = split.train.in_slates()
    own, first = data.slate_of(slice(None)), len(data) - n
    seen = 0
    for index in data.plan(32, torch.Generator().manual_seed(0)):
        batch = data.batch(index)
        for slate in own[index[index >= first]].unique():
            inside = own[index] == slate
            assert inside.sum() == (own == slate).sum() == 4
            assert len(batch.slate[inside].unique()) == 1
            assert split.label[index[inside]].sum() == 1
            seen += 4
    assert seen == n


def test_the_log_loss_weighs_prefixes_by_their_age(context):
    split, n = with_prefixes(context, 0, prefix_decay=0.7)
    cfg = FitSettings(prefixes=LAST, prefix_decay=0.7)
    rank = context.prefixes.of_fit(0, 0, LAST).rank.tolist()
    network = context.network("din", 0).eval()
    index = torch.arange(len(split.train) - n - 5, len(split.train))
    batch, label = split.train.batch(index), split.label[index]
    with torch.no_grad():
        logit = network(batch)
        found = loss(network, batch, label, cfg)
    terms = []
    for i, (y, click) in enumerate(zip(logit.tolist(), label.tolist(), strict=True)):
        weight = 1.0 if i < 5 else 0.7 ** (rank[i - 5] + 1)
        terms.append(weight * (np.log1p(np.exp(y)) - click * y))
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    plain = F.binary_cross_entropy_with_logits(logit, label)
    assert found < plain
    smoothed = replace(cfg, label_smoothing=0.2)
    expected = [
        w * (0.9 * a + 0.1 * b)
        for w, a, b in zip(
            batch.weight.tolist(),
            F.binary_cross_entropy_with_logits(logit, label, reduction="none").tolist(),
            F.binary_cross_entropy_with_logits(logit, 1 - label, reduction="none").tolist(),
            strict=True,
        )
    ]
    mean = sum(expected) / len(expected)
    assert loss_of_logits(logit, label, smoothed, batch).item() == pytest.approx(mean, rel=1e-5)


def test_a_decay_of_one_weighs_nothing_and_gives_the_bytes_of_equal_weights(context, monkeypatch):
    assert with_prefixes(context, 0)[0].train.weight is None
    plain = context.train(("din", 0, 0), **QUIET)
    cfg = replace(context.settings.networks["din"].fit, prefix_decay=0.5)
    network_cfg = replace(context.settings.networks["din"], fit=cfg)
    settings = replace(context.settings, networks={"din": network_cfg})
    weighed = replace(context, settings=settings)
    lighter = weighed.train(("din", 0, 0), **QUIET)
    monkeypatch.setattr(torch, "pow", lambda decay, age: torch.ones_like(age))
    ones = weighed.train(("din", 0, 0), **QUIET)
    assert plain.held_logits.numpy().tobytes() == ones.held_logits.numpy().tobytes()
    assert plain.held_logits.numpy().tobytes() != lighter.held_logits.numpy().tobytes()
    assert plain.n_rows - plain.n_prefix_rows == len(without(context, 0).train)


def test_rows_on_the_host_have_the_same_prefixes(overrides, context):
    host = open_context(overrides, "train.rows=host")
    ours, theirs = (with_prefixes(c, 1)[0].train for c in (host, context))
    assert (ours.on_host, theirs.on_host) == (True, False)
    assert torch.equal(ours.item, theirs.item)


def test_a_fit_repeats_itself_reads_prefixes_and_says_how_many(overrides):
    typed = [*overrides, WANTED, "train.backend=serial", "folds.n=2"]
    run_stages(typed, "50_train")
    s = load("sample", typed)
    made = graph.fits(s)
    first = {key: (spec.path / "held.parquet").read_bytes() for key, spec in made.items()}
    for spec in made.values():
        assert record(spec.path)["inputs"].keys() == {"store", "folds", "prefixes"}
        assert record(spec.path)["report"]["prefix_rows"] > 0
    importlib.import_module("pipeline.50_train").work(
        load("sample", [*typed, "train.workers=1"]), True
    )
    assert first == {key: (spec.path / "held.parquet").read_bytes() for key, spec in made.items()}


def test_a_run_without_prefixes_has_no_stage_for_them(overrides):
    plain, asked = (load("sample", [*overrides, *more]) for more in ((), (WANTED,)))
    assert "25_prefixes" not in graph.stages(plain)
    stages = graph.stages(asked)
    assert stages.index("20_folds") < stages.index("25_prefixes") < stages.index("30_features")
    with pytest.raises(InputError, match=r"no network .* such as din.fit.prefixes=6"):
        importlib.import_module("pipeline.25_prefixes").work(plain, False)
    both = load("sample", [*overrides, "models=din,qin", WANTED, "qin.fit.prefixes=9"])
    assert graph.prefixes(both).name == "last9"
    mixed = graph.fits(load("sample", [*overrides, "models=din,qin", WANTED]))
    assert {key[0]: "prefixes" in spec.inputs for key, spec in mixed.items()} == {
        "din": True,
        "qin": False,
    }


def test_what_cannot_be_made_is_said():
    notes, facts = importlib.import_module("pipeline.25_prefixes").notes, {"negatives_per_click": 3}
    assert notes(facts | {"users_left_out": 0, "prefixes": [4, 1]}) == []
    left_out, none = notes(facts | {"users_left_out": 7, "prefixes": [0, 0]})
    assert left_out.startswith("7 users have no prefixes: they leave fewer than 3 items")
    assert "the train rows alone" in none


def test_a_study_that_searches_prefixes_reads_as_many_as_it_may_try(overrides, monkeypatch):
    space = {"fit.prefixes": search_space.Int(low=0, high=7)}
    monkeypatch.setattr(search_space, "load", lambda model, network: space)
    s = load("sample", [*overrides, "tune.trials=1", "tune.models=din"])
    assert graph.prefixes(s).settings == {"last": 7}
    assert "prefixes" in graph.training_inputs(s, [graph.widest(s, "din")])
    assert "prefixes" not in graph.training_inputs(s, s.networks.values())
    assert "25_prefixes" in graph.stages(s)


def test_fits_and_trials_read_the_prefixes_of_the_whole_run(overrides, monkeypatch):
    space = {"fit.prefixes": search_space.Int(low=0, high=7)}
    monkeypatch.setattr(search_space, "load", lambda model, network: space)
    tuned = ["train.settings=tuned", "tune.models=din"]
    s = load("sample", [*overrides, *tuned])
    run_stages([*overrides, *tuned], "25_prefixes")
    best = replace(s.networks["din"], fit=replace(s.networks["din"].fit, prefixes=2))
    with monkeypatch.context() as patched:
        patched.setattr(graph, "networks", lambda s: {"din": best})
        (fit,) = fits._described([(s, ("din", 0, 0))])
    assert fit.inputs["prefixes"] == graph.prefixes(s).path
    assert fit.settings.networks == {"din": best}
    both = [*overrides, "models=din,qin", "qin.fit.prefixes=9", "tune.trials=1", "tune.models=din"]
    run_stages(both, "25_prefixes")
    search, tasks = Search.of(load("sample", both), "din"), {}
    monkeypatch.setattr(
        trials.dispatch, "run_tasks", lambda work, given, *_: tasks.update(given) or given.items()
    )
    trials._fit_folds(search, best, 0)
    folders = {given[1]["prefixes"].name for given in tasks.values()}
    assert folders == {graph.prefixes(search.settings).path.name}
    assert graph.prefixes(search.settings).name == "last9"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["rules=strict"], r"rules=strict refuses din.fit.prefixes=3: they are rows that the data"),
        (["train.rows=stream"], r"din.fit.prefixes=3: prefixes are rows beside .* set train.rows"),
        (
            ["din.fit.prefix_decay=0.5", "din.fit.loss=focal"],
            r"prefix_decay = 0.5 weighs the rows of the log loss: loss = 'focal' must be 'bce'",
        ),
        (["din.fit.prefix_decay=0"], r"din.fit.prefix_decay"),
    ],
)
def test_what_prefixes_cannot_be_with_is_refused_by_name(overrides, typed, message):
    base = [o for o in overrides if not o.startswith("folds.")]
    with pytest.raises(InputError, match=message):
        load("sample", [*base, WANTED, *typed])


def test_a_decay_without_prefixes_is_not_read(overrides):
    with pytest.raises(InputError, match=r"din.fit.prefix_decay=0.5: not read"):
        load("sample", [*overrides, "din.fit.prefix_decay=0.5"])


def test_streamed_rows_refuse_prefixes_that_a_study_tries(overrides, context):
    s = load("sample", [*overrides, "train.rows=stream"])
    inputs = graph.training_inputs(context.settings, context.settings.networks.values())
    folders = {name: require(spec) for name, spec in inputs.items()}
    with pytest.raises(InputError, match=r"train.rows=stream reads the store alone"):
        TrainingContext.open(s, folders)


def test_rows_of_a_fold_and_of_a_part_are_left_out(context):
    fold = torch.tensor([0, 0, 1, 1, 1])
    part = torch.tensor([0, 1, 0, 1, 2])
    index = torch.arange(5)
    few = replace(context.prefixes.take(index), fold=fold, part=part, rank=index % 3)
    kept = lambda *of: few.of_fit(*of).row.tolist()  # noqa: E731
    rows = few.row.tolist()
    assert isinstance(few, PrefixRows)
    assert kept(0, 1, 9) == [rows[2], rows[4]]
    assert kept(1, None, 9) == rows[:2]
    assert kept(None, None, 9) == rows
    assert kept(None, None, 1) == [rows[0], rows[3]]
