"""Studies, their workers, and what comes of them."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from bench import pruners
from features.errors import InputError
from models.settings import NetworkSettings
from pipeline import graph
from pipeline.artifacts import locks, spec
from pipeline.artifacts.spec import require
from pipeline.config import load as load_config
from pipeline.config import search_space
from pipeline.config.load import load
from pipeline.config.schema import merge
from pipeline.reporting import leaderboard, scores
from pipeline.training.context import TrainingContext
from pipeline.tuning import results, studies
from pipeline.tuning import trials as tuning
from pipeline.tuning.studies import FINISHED
from pipeline.tuning.trials import Search
from tests.test_run_all import ROOT, TINY

stage = import_module("pipeline.40_tune")
QIN = "models=qin"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    own = [f"artifacts={folder}/artifacts", f"submissions={folder}/submissions"]
    return [*TINY, QIN, "train.workers=1", *own]


@pytest.fixture(scope="module")
def tuned(words):
    """A whole run on a tiny sample that tunes: its words, its stages, and the winner's place."""
    given = [*words, "tune.trials=3", "train.settings=tuned"]
    s = load("sample", given)
    order = graph.stages(s)
    for name in order:
        import_module(f"pipeline.{name}").work(s, False, *[None] * (name == "80_report"))
    return given, order, graph.tunings(s)["qin"]


@pytest.fixture
def own(tuned, words, tmp_path):
    """The words of a run on the same folds that has no study yet."""
    folder = Path(load("sample", words).artifacts)
    copy = shutil.copytree(folder, tmp_path / "a", ignore=lambda *_: ["40_tune", "50_train"])
    return [*words, f"artifacts={copy}", f"submissions={tmp_path}/submissions"]


def study_of(words: list[str]) -> optuna.Study:
    s = load("sample", words)
    return optuna.load_study(study_name=Search.of(s, "qin").name, storage=studies.storage(s))


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials(deepcopy=False)]


# What is searched


@pytest.mark.parametrize("profile", sorted(p.stem for p in load_config.PROFILES.glob("*.toml")))
@pytest.mark.parametrize(
    "path", sorted((load_config.MODELS / "spaces").glob("*.toml")), ids=lambda p: p.stem
)
def test_a_space_holds_the_published_settings_and_every_profiles(path, profile):
    model = path.stem
    present = load(profile, [f"models={model}"]).networks[model]
    searched = search_space.load(model, present)
    for network in (present, load_config.paper_settings(model)):
        values = search_space.values(network, searched)
        assert search_space.outside(values, searched) == []
        assert search_space.apply(network, values, model) == network


@pytest.fixture
def write_space(tmp_path, monkeypatch):
    shutil.copytree(load_config.MODELS, tmp_path / "models", ignore=shutil.ignore_patterns("*.py"))
    monkeypatch.setattr(load_config, "MODELS", tmp_path / "models")
    spaces = tmp_path / "models" / "spaces"
    return lambda text, model="din": (spaces / f"{model}.toml").write_text(text)


def test_every_problem_of_a_space_is_reported_at_once(write_space):
    write_space("""
        embedding_dim = 4
        [fit]
        learning_rat = { type = "float", low = 1e-4, high = 1e-2 }
        patience = { type = "int", low = 5, high = 2 }
        decay = { type = "floot", low = 0.1, high = 0.2 }
        clip_norm = { type = "float", low = 0.0, high = 2.0, log = true }
        batch_size = { type = "int", low = 8.5, hihg = 9 }
        min_learning_rate = { type = "float", low = 0.0, high = 1.0, step = 0.3 }
        loss = { type = "categorical", choices = ["bce"] }
    """)
    with pytest.raises(InputError) as error:
        search_space.load("din", load_config.paper_settings("din"))
    said = str(error.value)
    for expected in (
        "models/spaces/din.toml: ",
        "embedding_dim = 4 must be a table",
        "fit.patience: low = 5 must be below high = 2",
        "fit.decay.type = 'floot' must be one of float, int, categorical, did you mean 'float'?",
        "fit.clip_norm: log = true needs low = 0.0 above 0",
        "fit.batch_size.low = 8.5 must be int",
        "unknown key 'fit.batch_size.hihg', did you mean 'high'?",
        "fit.min_learning_rate: high = 1.0 must be low = 0.0 and a number of steps",
        "fit.loss: choices = ['bce'] must be at least two",
    ):
        assert expected in said


def test_a_space_must_fit_the_network(write_space):
    write_space("""
        [fit]
        learning_rat = { type = "float", low = 1e-4, high = 1e-2 }
        decay = { type = "float", low = 0.1, high = 1.5 }
        loss = { type = "categorical", choices = ["bce", "bze"] }
        [qnn]
        layers = { type = "int", low = 1, high = 2 }
    """)
    with pytest.raises(InputError) as error:
        search_space.load("din", load_config.paper_settings("din"))
    said = str(error.value)
    assert "unknown key 'fit.learning_rat', did you mean 'learning_rate'?" in said
    assert "fit.decay = 1.5 must be in (0, 1]" in said
    assert "fit.loss = 'bze' must be one of" in said
    assert "qnn.layers: not read, the parts are din and mlp" in said


def test_several_widths_are_a_choice(write_space):
    write_space('[mlp]\nhidden = { type = "categorical", choices = ["64,32", "1024,512,256"] }')
    network = load_config.paper_settings("din")
    searched = search_space.load("din", network)
    assert search_space.values(network, searched) == {"mlp.hidden": "1024,512,256"}
    assert search_space.apply(network, {"mlp.hidden": "64,32"}, "din").mlp.hidden == (64, 32)


def test_a_network_without_a_space_says_which_have_one():
    with pytest.raises(InputError, match=r"no search space models/spaces/qin_silu\.toml.*din, fin"):
        search_space.load("qin_silu", load_config.paper_settings("qin"))


def test_a_space_is_no_network():
    assert "spaces" not in load_config.model_names()
    assert load_config.model_names().count("qin") == 1
    assert load_config.model_path("qin").parent == load_config.MODELS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["tune.trials=-1"], "tune.trials must be at least 0"),
        (["tune.users=0.5", "train.rows=stream"], "not with train.rows=stream"),
        (["tune.users=1.5"], "tune.users = 1.5 must be a share, above 0 and at most 1"),
        (["tune.pruner=asha"], "tune.pruner = 'asha' must be one of median, hyperband"),
        (["train.settings=best"], "train.settings = 'best' must be one of given, tuned"),
        (["tune.trials=3", "tune.models=dni"], "tune.models: 'dni' is not among models=qin,final,"),
        (["tune.storage=postgresql://me:secret@host/db"], "put it into ~/.pgpass or PGPASSWORD"),
        (["tune.storage=postgresql://me:se/cret@host/db"], "put it into ~/.pgpass or PGPASSWORD"),
        (
            ["tune.storage=postgresql://me@host/db?password=se"],
            "put it into ~/.pgpass or PGPASSWORD",
        ),
    ],
)
def test_words_that_cannot_be_are_refused(given, said):
    with pytest.raises(InputError, match=re.escape(said)):
        load("sample", given)


# A study


def test_the_first_trials_are_the_published_and_the_present_settings(tuned):
    given, _, place = tuned
    rows = json.loads((place.path / "tune.json").read_text())["trials"]
    assert [row["origin"] for row in rows] == ["published", "present", None]
    s = load("sample", given)
    for row, network in zip(
        rows, (load_config.paper_settings("qin"), s.networks["qin"]), strict=False
    ):
        assert row["params"] == search_space.values(network, search_space.load("qin", network))


def test_50_train_scores_what_the_trial_of_its_settings_scored(tuned, words):
    given, _, place = tuned
    told = json.loads((place.path / "tune.json").read_text())
    import_module("pipeline.50_train").work(load("sample", words), False)
    for run, number in ((words, 1), (given, told["best"]["number"])):  # present, and the winner
        fits = [spec.record(fit.path) for fit in graph.fits(load("sample", run)).values()]
        row = told["trials"][number]
        assert row["fold_aucs"] == [fit["report"]["auc"] for fit in fits]
        assert row["epochs"] == [len(fit["report"]["epochs"]) for fit in fits]
    assert told["best"]["number"] != 1  # else this has shown nothing


def test_a_trial_keeps_what_it_came_to(tuned):
    _, _, place = tuned
    told = json.loads((place.path / "tune.json").read_text())
    assert told["direction"] == "maximize"
    assert told["importances"] is None  # of three trials
    best = max(told["trials"], key=lambda row: row["value"])
    assert told["best"] == {key: best[key] for key in ("number", "value", "params")}
    for row in told["trials"]:
        assert row["state"] == "COMPLETE"
        assert row["value"] == pytest.approx(sum(row["fold_aucs"]) / 2, abs=1e-12)
        assert row["seed"] == told["trials"][0]["seed"] >= 0
        assert 100 < row["peak_mib"] < 4000
        assert 0 < row["seconds"] < 100
        assert row["rows_per_second"] == pytest.approx(
            600 * sum(row["epochs"]) / row["seconds"], 0.1
        )


def test_a_study_goes_on_for_the_missing_trials_alone_and_draws_nothing_twice(tuned, own, capsys):
    for n in (3, 3, 4):
        stage.work(load("sample", [*own, f"tune.trials={n}"]), force=False, workers=1)
    said = capsys.readouterr().out
    assert said.count("kept") == 1
    assert "40_tune study sample-qin-kfold2" in said
    assert "1 of 4 trials to go" in said
    place = graph.tunings(load("sample", own))["qin"]
    rows = json.loads((place.path / "tune.json").read_text())["trials"]
    assert len(rows) == 4
    assert rows[2]["seed"] != rows[3]["seed"]
    assert rows[2]["params"] != rows[3]["params"]
    other = json.loads((tuned[2].path / "tune.json").read_text())["trials"]
    assert [row["params"] for row in rows[:3]] == [row["params"] for row in other]  # one seed


def test_studies_differ_where_trials_could_not_be_compared(words):
    def name(*more: str) -> str:
        return Search.of(load("sample", [*words, *more]), "qin").name

    assert name() == name("tune.trials=9", "tune.pruner=none", "train.workers=3")
    assert name() == name("qin.fit.learning_rate=3e-3")  # searched: another present trial
    others = ["qin.max_len=3", "tune.seed=1", "train.seeds=1", "network.fit.max_epochs=3"]
    others.append("tune.users=0.5")
    assert len({name(), *map(name, others)}) == 6


def test_trials_may_see_a_share_of_the_users(words, own):
    s = load("sample", [*own, "tune.trials=1", "tune.users=0.5"])
    bench = TrainingContext.open(s, require(graph.store(s)), require(graph.folds(s)))
    few = bench.of_users(0.5, seed=0)
    users, kept = bench.rows["train"].user, few.rows["train"].user
    assert 0.4 < len(kept) / len(users) < 0.6
    assert len(few.label["train"]) == len(few.fold) == len(kept)
    for user in kept.unique():  # whole, with its own labels and fold
        of_all, of_few = users == user, kept == user
        assert torch.equal(few.label["train"][of_few], bench.label["train"][of_all])
        assert torch.equal(few.fold[of_few], bench.fold[of_all])
    stage.work(s, force=False, workers=1)
    place = graph.tunings(s)["qin"]
    assert "of 1 trials (0 pruned), on 0.5 of the users." in (place.path / "best.toml").read_text()
    row = json.loads((place.path / "tune.json").read_text())["trials"][0]
    rate = len(kept) / 2 * sum(row["epochs"]) / row["seconds"]  # of two folds, one is trained on
    assert row["rows_per_second"] == pytest.approx(rate, 0.2)
    with pytest.raises(InputError, match=r"tune.users = 0.0001 leaves fold 0 without both labels"):
        bench.of_users(0.0001, seed=0)


def test_present_settings_that_change_are_another_trial(tuned, own):
    s = load("sample", [*own, "tune.trials=1"])
    assert [t.user_attrs["origin"] for t in Search.of(s, "qin").create().trials] == [
        "published",
        "present",
    ]
    s = load("sample", [*own, "tune.trials=1", "qin.fit.learning_rate=5e-3"])
    Search.of(s, "qin").create()
    trials = Search.of(s, "qin").create().trials  # twice, and queued once
    assert [t.system_attrs["fixed_params"]["fit.learning_rate"] for t in trials] == [
        2e-3,
        1e-3,
        5e-3,
    ]
    s = load("sample", [*own, "tune.trials=1", "qin.fit.learning_rate=0.5"])
    assert len(Search.of(s, "qin").create().trials) == 3  # no trial can be drawn there


# What comes of it


def test_50_train_takes_the_winner_only_when_told(tuned, words):
    given, _, place = tuned
    plain, told = load("sample", words), load("sample", given)
    assert graph.networks(plain) == plain.networks
    used = graph.networks(told)["qin"]
    best = json.loads((place.path / "tune.json").read_text())["best"]["params"]
    assert search_space.values(used, search_space.load("qin", used)) == best
    assert (
        replace(used, qnn=plain.networks["qin"].qnn, fit=plain.networks["qin"].fit)
        == (plain.networks["qin"])
    )
    changed = best != search_space.values(plain.networks["qin"], search_space.load("qin", used))
    different = graph.fits(plain)["qin", 0, 0].hash != graph.fits(told)["qin", 0, 0].hash
    assert different == changed
    assert (graph.fits(told)["qin", 0, 0].settings["network"]) == asdict(used)


def test_best_toml_is_a_difference_to_the_networks_own(tuned):
    given, _, place = tuned
    text = (place.path / "best.toml").read_text()
    assert "the best of 3 trials (0 pruned)" in text
    tree = merge(asdict(load_config.paper_settings("qin")), tomllib.loads(text))
    used = graph.networks(load("sample", given))["qin"]
    assert load_config.checked(NetworkSettings, tree, "qin") == used
    assert "interest" not in tomllib.loads(text)


def test_toml_is_read_back_as_it_was():
    tree = {"a": 1, "b": 1e-7, "c": 'say "so"\\', "d": True, "e": (1, 2), "f": (), "s": {"x": 0.5}}
    assert tomllib.loads(results.toml(tree)) == tree | {"e": [1, 2], "f": []}
    assert tomllib.loads(results.toml({"s": {"t": {"u": 1}}, "z": 2})) == {
        "s": {"t": {"u": 1}},
        "z": 2,
    }


def test_tuned_settings_that_are_not_there_are_asked_for(tuned, words):
    for command, missing in (("50_train", "tune.seed=7"), ("80_report", "qin.max_len=3")):
        other = load("sample", [*words, "train.settings=tuned", missing])
        with pytest.raises(InputError) as error:
            import_module(f"pipeline.{command}").work(other, False, *[None] * (command > "80"))
        said = str(error.value)
        assert "train.settings=tuned, but qin has no finished study of these settings" in said
        assert "run python -m pipeline.40_tune sample data.users=300" in said
    with pytest.raises(InputError, match=r"tune\.trials = 0: say how many trials"):
        stage.work(load("sample", words), False)
    assert graph.networks(load("sample", [*words, "train.settings=tuned"]))  # of however many
    with pytest.raises(InputError, match="no finished study"):
        graph.networks(load("sample", [*words, "train.settings=tuned", "tune.trials=9"]))


def test_a_run_tunes_before_it_trains_and_says_what_that_used_up(tuned, words):
    given, order, _ = tuned
    assert order.index("30_features") + 1 == order.index("40_tune") == order.index("50_train") - 1
    judged = json.loads(
        (leaderboard.report_spec(load("sample", given)).path / "scores.json").read_text()
    )
    assert judged["tuned"] == ["qin"]
    assert "folds have also chosen the settings of qin: official valid" in scores.as_text(judged)
    assert "40_tune" not in graph.stages(load("sample", [*words, "train.settings=tuned"]))
    runner = import_module("pipeline.__main__")
    assert runner.state(load("sample", given), "40_tune") == "done"
    assert runner.state(load("sample", [*given, "tune.trials=9"]), "40_tune") == "to do"
    assert runner.state(load("sample", [*given, "tune.trials=9"]), "50_train") == "to do"


def test_strict_rules_hold_for_what_a_study_may_draw_and_for_what_it_found(own, write_space):
    levels = "item_levels = { type = 'categorical', choices = [false, true] }"
    write_space(levels, "qin")
    official = [word for word in own if not word.startswith("folds.n=")]
    s = load("sample", [*official, "tune.trials=1", "rules=strict"])
    import_module("pipeline.20_folds").work(s, False)
    with pytest.raises(InputError, match=r"rules=strict refuses qin\.item_levels"):
        stage.work(s, force=False, workers=1)
    s = load("sample", [*official, "train.settings=tuned", "rules=strict"])
    place = graph.tunings(s)["qin"]
    place.path.mkdir(parents=True)
    (place.path / "best.toml").write_text("item_levels = true")
    known = {"bytes": {}, "report": {}}
    (place.path / "artifact.json").write_text(json.dumps(known))
    with pytest.raises(InputError, match=r"rules=strict refuses qin\.item_levels"):
        graph.networks(s)


def test_words_that_a_study_has_searched_are_said_to_be_its_beginning(tuned, capsys):
    given, _, _ = tuned
    words = [*given, "qin.fit.learning_rate=0.5", "network.fit.decay=0.5"]
    assert graph.ignored_overrides(load("sample", words)) == words[-2:]
    assert graph.ignored_overrides(load("sample", [*words, "train.settings=given"])) == []
    words = [*words, "train.seeds=0,1"]  # of two seeds, one is left to train
    import_module("pipeline.50_train").work(load("sample", words), False)
    assert "qin.fit.learning_rate=0.5: where a study began" in capsys.readouterr().out


def test_a_submission_says_whose_settings_the_folds_chose(tuned):
    s = load("sample", tuned[0])
    manifest = json.loads((graph.submission(s).path / "manifest.json").read_text())
    assert manifest["tuned"] == ["qin"]
    assert "folds have also chosen the settings of qin" in graph.board(s).read_text()


def test_a_trial_that_another_worker_fails_while_it_runs_is_left_to_it(own, monkeypatch, capsys):
    s = load("sample", [*own, "tune.trials=2"])
    honest, failed = tuning._fit, []

    def fit(bench, key):
        if not failed:
            study = study_of([*own, "tune.trials=2"])
            (trial,) = study.get_trials(states=[TrialState.RUNNING])
            failed.append(trial.number)
            assert studies.release(study, trial)
        return honest(bench, key)

    monkeypatch.setattr(tuning, "_fit", fit)
    stage.work(s, force=False, workers=1)
    assert "trial 0 was failed by another worker" in capsys.readouterr().out
    assert sorted(states(study_of(own))) == ["COMPLETE", "COMPLETE", "FAIL"]


def test_a_database_that_is_not_there_is_not_made_to_be_repaired(own, tmp_path):
    s = load("sample", [*own, f"tune.storage=sqlite:///{tmp_path}/typo.db"])
    with pytest.raises(InputError, match=r"typo.db is missing"):
        stage.repair(s)
    assert not (tmp_path / "typo.db").exists()


def test_options_that_would_not_be_read_are_refused(own, capsys):
    for options, said in (
        (["--port", "1"], "--port 1 is not read without --dashboard"),
        (["--repair", "--dashboard"], "one at a time"),
    ):
        with pytest.raises(SystemExit) as ended:
            stage.main(["sample", *own, *options])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_the_table_says_what_tuning_has_used_up():
    row = {"name": "qin", "cv": 0.8, "sd": 0.1, "valid": 0.8, "hidden": None}
    row |= {"valid_gain": None, "hidden_gain": None}
    judged = {
        "rows": [row],
        "shipped": "qin",
        "chosen_by": "folds",
        "bayes": None,
        "tuned": ["qin"],
    }
    assert "folds have also chosen the settings of qin: official valid" in scores.as_text(judged)
    judged["rows"] = [row | {"cv": None}]
    assert "Official valid has also chosen the settings of qin" in scores.as_text(judged)
    assert "settings" not in scores.as_text(judged | {"tuned": []})


# Trials


@pytest.fixture
def search(own):
    return Search.of(load("sample", [*own, "tune.trials=9"]), "qin")


def fake_fits(monkeypatch, aucs):
    """Let every fit of a fold score what `aucs` says of (trial's learning rate, fold)."""

    def train(bench, key, progress, each_epoch):
        rate = bench.settings.networks["qin"].fit.learning_rate
        report = tuning.FitReport(epochs=[{"seconds": 0.1}], best_score=aucs(rate, key[2]))
        return None, report, 10, None

    monkeypatch.setattr(tuning.Workbench, "train", train)


def test_a_trial_is_stopped_between_folds_by_its_mean_so_far(search, monkeypatch):
    fake_fits(monkeypatch, lambda rate, fold: 0.5 + rate + fold / 100)
    tuning.run(search, 1)
    trials = search.create().trials
    assert states(search.create()).count("PRUNED") > 0
    for trial in trials:
        known = trial.user_attrs["fold_aucs"]
        assert len(known) == (1 if trial.state == TrialState.PRUNED else 2)
        means = [sum(known[: n + 1]) / (n + 1) for n in range(len(known))]
        assert list(trial.intermediate_values.values()) == pytest.approx(means)
        assert trial.value == pytest.approx(means[-1])
    best = min(t.params["fit.learning_rate"] for t in trials if t.state == TrialState.PRUNED)
    assert best < search.create().best_params["fit.learning_rate"]


def test_settings_that_diverge_count_as_the_worst(search, monkeypatch):
    def diverge(rate, fold):
        if rate > 1e-3:
            raise FloatingPointError("epoch 1: training loss nan")
        return 0.6

    fake_fits(monkeypatch, diverge)
    tuning.run(search, 1)
    first, second = search.create().trials[:2]
    assert (first.state, first.value) == (TrialState.PRUNED, None)
    assert "training loss nan" in first.user_attrs["diverged"]
    assert second.state == TrialState.COMPLETE


def test_settings_that_need_too_much_memory_name_the_space_to_narrow(search, monkeypatch):
    def fill(rate, fold):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    fake_fits(monkeypatch, fill)
    with pytest.raises(InputError, match=r"'qnn.layers': 4.* narrow the space in .*qin.toml$"):
        tuning.run(search, 1)
    assert states(search.create())[0] == "FAIL"


def test_workers_share_out_the_gpus(search, monkeypatch):
    given = []

    def spread(search, slots):
        given.append(slots)
        tuning.work(search, 0)

    fake_fits(monkeypatch, lambda rate, fold: 0.6)
    monkeypatch.setattr(tuning, "_spread", spread)
    monkeypatch.setattr(tuning.devices.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    for workers, n in ((0, 9), (3, 12)):
        s = search.settings
        s = replace(s, tune=replace(s.tune, trials=n), train=replace(s.train, workers=0))
        tuning.run(replace(search, settings=s), workers)
    assert given == [["4", "6"], ["4", "6", "4"]]


def test_a_worker_takes_its_gpu_before_it_begins(search, tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(tuning.processes, "end_with", lambda parent: None)
    monkeypatch.setattr(tuning.devices, "take", lambda *given: done.append(given))
    monkeypatch.setattr(tuning, "work", lambda *task: done.append(task))
    with pytest.raises(SystemExit, match="0"):
        tuning._alone(1, ["4", "6"], tmp_path, search, 1)
    assert done == [(["4", "6"], tmp_path), (search, 1)]
    with pytest.raises(SystemExit, match="0"):
        tuning._alone(1, ["", ""], tmp_path, search, 0)
    assert done[2:] == [(search, 0)]


def test_a_device_that_is_not_there_is_refused(own):
    search = Search.of(load("sample", [*own, "tune.trials=9", "train.device=cuda:3"]), "qin")
    with pytest.raises(InputError, match=r"train.device = 'cuda:3', but torch sees 0 CUDA"):
        tuning.run(search, 2)


def test_no_more_trials_go_on_than_are_wanted(search, monkeypatch):
    fake_fits(monkeypatch, lambda rate, fold: 0.6)
    study = search.create()
    while study.ask().number < 8:  # eight others that run, and this one: the last
        pass
    other, seed = search.load(1)
    bench = tuning.Workbench.open(search.settings, *(
        spec.require(find(search.settings)) for find in (graph.store, graph.folds)
    ))  # fmt: skip
    tuning._one(search, other, bench, seed)
    assert states(study) == ["RUNNING"] * 9 + ["FAIL"]


def test_an_interrupted_trial_is_queued_again(search, monkeypatch):
    def interrupt(rate, fold):
        raise KeyboardInterrupt

    fake_fits(monkeypatch, interrupt)
    for _ in range(5):  # as often as one likes
        with pytest.raises(KeyboardInterrupt):
            tuning.run(search, 1)
    study = search.create()
    assert sorted(states(study)) == ["FAIL"] * 5 + ["WAITING"] * 2
    fake_fits(monkeypatch, lambda rate, fold: 0.6)
    tuning.run(search, 1)
    finished = [t for t in search.create().trials if t.state in FINISHED]
    assert len(finished) == 9
    origins = sorted(t.user_attrs["origin"] for t in finished if "origin" in t.user_attrs)
    assert origins == ["present", "published"]


def test_a_study_without_a_complete_trial_has_no_winner(search, monkeypatch, tmp_path):
    study = search.create()
    with pytest.raises(InputError, match="none of 0 trials came to its end"):
        results.write(search, study, tmp_path)
    assert not list(tmp_path.glob("*.toml"))


def test_importances_name_what_matters(search, monkeypatch):
    fake_fits(monkeypatch, lambda rate, fold: 0.5 + 10 * rate)
    s = search.settings
    more = replace(search, settings=replace(s, tune=replace(s.tune, trials=30, pruner="none")))
    tuning.run(more, 1)
    study = more.create()
    found = results.importances(study, study.trials)
    assert max(found, key=found.get) == "fit.learning_rate"
    assert sum(found.values()) == pytest.approx(1)
    assert results.importances(study, study.trials[:9]) is None


@pytest.mark.parametrize("name", load_config.PRUNERS)
@pytest.mark.parametrize("n_folds", [1, 2, 5])
def test_every_pruner_can_be_built(name, n_folds):
    assert isinstance(tuning.pruner(name, n_folds), optuna.pruners.BasePruner)


# Workers that are killed


LONG = ["tune.trials=6", "network.fit.max_epochs=20", "network.fit.patience=20"]  # a second each


def begin(*words: str) -> subprocess.Popen:
    """The stage by its command line, in a process group of its own."""
    command = [sys.executable, "-m", "pipeline.40_tune", "sample", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, start_new_session=True)  # fmt: skip


@contextlib.contextmanager
def two_workers(words: list[str]):
    """Two workers on one study, while the body runs; their stage then comes to its end."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(stage.work, load("sample", words), force=False, workers=2)
        yield done
        done.result(timeout=300)


def caught(words: list[str], n: int, ended) -> list[int]:
    """Processes of `n` workers, stopped (SIGSTOP) in a trial of theirs; the study is there."""
    journal = studies.journal(load("sample", words))
    journal.parent.mkdir(exist_ok=True)  # a database has none
    lock = studies.Lock(journal)
    deadline, stopped, study = time.monotonic() + 300, [], study_of(words)
    while len(stopped) < n:
        assert time.monotonic() < deadline, f"no {n} workers were seen at work"
        assert not ended(), f"the study ended before {n} workers were seen at work"
        for pid in [pid for pid in running(study) if pid not in stopped][:1]:
            os.kill(pid, signal.SIGSTOP)
            if pid in running(study) and free(lock):
                stopped.append(pid)
            else:  # its trial has just ended, or it holds what the others wait for
                os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
    return stopped


def free(lock: studies.Lock) -> bool:
    """Whether nobody holds the lock for long."""
    deadline, found = time.monotonic() + 1, False
    while not found and time.monotonic() < deadline:
        found = locks.taken(lock.file)
    lock.release()
    return found


def running(study: optuna.Study) -> set[int]:
    """Processes of the trials that have drawn all their settings and are not at their end."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    drawn = [trial for trial in trials if len(trial.params) == 6]
    return {int(trial.user_attrs[studies.WORKER].split(":")[1]) for trial in drawn}


def ends_well(words: list[str], wanted: int) -> list[str]:
    found = states(study_of(words))
    assert sum(found.count(state.name) for state in FINISHED) == wanted, found
    assert "RUNNING" not in found
    rows = json.loads((graph.tunings(load("sample", words))["qin"].path / "tune.json").read_text())
    assert len([r for r in rows["trials"] if r["state"] in ("COMPLETE", "PRUNED")]) == wanted
    return found


def test_the_other_worker_does_what_a_killed_one_left(own, capsys):
    given = [*own, *LONG]
    Search.of(load("sample", given), "qin").create()
    with two_workers(given) as done:
        (victim,) = caught(given, 1, done.done)
        os.kill(victim, signal.SIGKILL)
    assert f"worker {victim} was killed" in capsys.readouterr().out
    assert ends_well(given, 6).count("FAIL") == 1
    (lost,) = [t for t in study_of(given).trials if t.state == TrialState.FAIL]
    retried = [
        t for t in study_of(given).trials if t.system_attrs.get("failed_trial") == lost.number
    ]
    assert [t.params for t in retried] == [lost.params]


def test_a_study_whose_processes_were_all_killed_is_repaired_and_goes_on(own, capsys):
    given = [*own, *LONG]
    Search.of(load("sample", given), "qin").create()
    process = begin(*given, "--workers", "2")
    caught(given, 2, lambda: process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert states(study_of(given)).count("RUNNING") == 2
    with studies.journal(load("sample", given)).open("a") as file:
        file.write('{"op_code":8,"worker_id":"torn')  # the last words of a full disk
    stage.repair(load("sample", given))
    said = capsys.readouterr().out
    assert said.count("failed, its settings are queued again") == 2
    assert "repaired: 0 trials are running" in said
    stage.work(load("sample", given), force=False, workers=1)
    assert ends_well(given, 6).count("FAIL") == 2


def test_workers_end_with_a_stage_that_was_killed_and_their_trials_are_queued_again(own):
    given = [*own, *LONG, "network.fit.max_epochs=100000", "network.fit.patience=100000"]
    Search.of(load("sample", given), "qin").create()
    process, study = begin(*given, "--workers", "2"), study_of(given)
    while len(running(study)) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    said, _ = process.communicate()  # ends when the workers, which share its output, have
    assert running(study) == set(), said
    assert states(study).count("FAIL") == 2, said
    assert states(study).count("WAITING") == 2, said


def test_an_interrupt_leaves_the_journal_to_the_one_who_clears_up(tmp_path):
    lock, other = (studies.Lock(tmp_path / "a.journal") for _ in range(2))
    lock.acquire()  # and then an interrupt, and no release
    assert not free(other)
    lock.acquire()
    lock.release()
    assert free(other)


def test_trials_that_cannot_be_looked_up_wait_for_repair(search):
    study = search.create()
    for worker in ("elsewhere:1:2", studies.me(), f"{socket.gethostname()}:{os.getpid()}:1", ""):
        trial = study.ask()
        if worker:
            trial.set_user_attr(studies.WORKER, worker)
    assert [t.number for t in studies.fail_stale_trials(study)] == [
        2
    ]  # the process that had this pid is gone
    assert [t.number for t in studies.repair(study)] == [0, 3]
    assert studies.repair(study) == []
    assert [t.state.name for t in study.trials][:4] == ["FAIL", "RUNNING", "FAIL", "FAIL"]
    assert states(study).count("WAITING") == 3


def test_a_worker_that_died_before_it_named_itself_is_not_waited_for(search, monkeypatch):
    study = search.create()
    study.ask()
    assert studies.fail_stale_trials(study) == []
    monkeypatch.setattr(studies, "NAMELESS", timedelta(0))
    assert [t.number for t in studies.fail_stale_trials(study)] == [0]
    assert states(study) == ["FAIL", "WAITING", "WAITING"]


def test_settings_that_kill_their_worker_are_given_up(search):
    study = search.create()
    for _ in range(20):
        trial = study.ask()
        trial.set_user_attr(studies.WORKER, f"{socket.gethostname()}:{os.getpid()}:1")
        trial.suggest_float("x", 0, 1)
        studies.fail_stale_trials(study)
    lost = {len(t.system_attrs.get("retry_history", [])) for t in study.trials}
    assert max(lost) == studies.MAX_RETRY


# PostgreSQL


@pytest.fixture
def postgres():
    """URL of an empty database on the loopback, of a server that dies with the test."""
    found = shutil.which("initdb") or next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), None)
    if found is None:
        pytest.skip("PostgreSQL (initdb) is not installed; on Debian: apt-get install postgresql")
    tools, as_user = Path(found).resolve().parent, []
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()

        def call(tool: str, *arguments: str) -> None:
            command = [*as_user, str(tools / tool), "-D", f"{folder}/data", *arguments]
            done = subprocess.run(
                command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            assert done.returncode == 0, done.stdout.decode()

        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder}"
        call("initdb", "-U", "tuner", "-A", "trust", "--no-sync")
        call("pg_ctl", "start", "-w", "-t", "200", "-l", f"{folder}/log", "-o", options)
        yield f"postgresql+psycopg://tuner@127.0.0.1:{port}/postgres"
        call("pg_ctl", "stop", "-m", "immediate")


def test_a_database_hears_that_a_worker_was_killed(postgres, own, capsys):
    given = [*own, *LONG, f"tune.storage={postgres}", "tune.heartbeat=1"]
    Search.of(load("sample", given), "qin").create()
    with two_workers(given) as done:
        (victim,) = caught(given, 1, done.done)
        os.kill(victim, signal.SIGKILL)
    assert f"worker {victim} was killed" in capsys.readouterr().out
    assert ends_well(given, 6).count("FAIL") == 1
    assert not studies.journal(load("sample", given)).exists()


def test_a_storage_that_cannot_be_opened_is_named(own):
    for url, said in (
        ("postgresql+psycopg://me@127.0.0.1:1/none", "cannot be opened"),
        ("redis://localhost", "expected an Optuna URL such as postgresql+psycopg://"),
        ("nonsense", "Could not parse"),
        ("sqlite://", "would be forgotten: name a file"),
        ("postgresql+psycopg://me@127.0.0.1:port/none", "cannot be opened"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            studies.storage(load("sample", [*own, f"tune.storage={url}"]))


# The dashboard


def test_the_dashboard_serves_the_studies_on_the_loopback_alone(tuned):
    given, _, _ = tuned
    process = begin(*given, "--dashboard", "--port", "0")
    try:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        with urllib.request.urlopen(f"{address[0]}api/studies", timeout=60) as answer:
            found = json.load(answer)
        assert Search.of(load("sample", given), "qin").name in json.dumps(found)
        with socket.socket() as other, pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", int(address[1])))  # another address of this machine
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()


def test_a_port_that_cannot_be_served_is_named(tuned):
    for port in (-1, 65536):
        with pytest.raises(InputError, match=f"--port {port}: .* try another, or 0 for any"):
            stage.serve(load("sample", tuned[0]), port)


def test_a_dashboard_without_studies_says_so(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        stage.main(["sample", f"artifacts={tmp_path}", "model=din", "--dashboard"])
    assert ended.value.code == 2
    assert "no study of this profile was begun" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_model_is_short_for_a_run_of_that_network_and_its_study(monkeypatch):
    seen = []
    monkeypatch.setattr(stage, "work", lambda s, *_: seen.append(s))
    for given in (["sample", "model=din"], ["model=din"]):
        with pytest.raises(SystemExit):
            stage.main(given)
    assert {(s.models, s.tune.models, s.profile) for s in seen} == {(("din",), ("din",), "sample")}


# The bench of pruners


def test_a_pruner_that_ends_nothing_loses_nothing_and_one_that_ends_the_worst_saves():
    aucs = np.arange(40)[:, None] / 100 + np.zeros((1, 5))  # no fold says anything new
    assert pruners.replay(aucs, "none", 3) == (0, 1, 0)
    saved, kept, lost = pruners.replay(aucs, "median", 3)
    assert 0.2 < saved < 0.8
    assert (kept, lost) == (1, 0)
    rising = np.linspace(0.5, 0.9, 20)[:, None] * np.ones((1, 5))
    assert pruners.told_in_order(rising, "median", "any").tolist() == [5] * 20
    assert pruners.told_in_order(rising[::-1], "median", "any").tolist() == [5] * 5 + [1] * 15
    misled = np.vstack([rising, np.array([[0.1, 0.99, 0.99, 0.99, 0.99]])])  # the best, by its mean
    assert pruners.told_in_order(misled, "median", "any").tolist() == [5] * 20 + [1]


def test_the_bench_wants_a_study_without_pruning(tuned, capsys):
    given, _, place = tuned
    assert pruners.main(["sample", *given, "--orders", "2"]) == 0
    assert "| none | 0.0% | 100.0% | 0.00000 |" in capsys.readouterr().out
    told = json.loads((place.path / "tune.json").read_text())
    told["trials"][2]["state"] = "PRUNED"
    with pytest.raises(InputError, match=r"begin one with tune\.pruner=none"):
        pruners.complete(told)
