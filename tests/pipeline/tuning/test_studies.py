"""What a study is, which trials come first, and how it resumes."""

import json
from importlib import import_module

import pytest
import torch

from features.errors import InputError
from pipeline import graph
from pipeline.config import search_space
from pipeline.config.load import load
from pipeline.config.networks import paper_settings
from pipeline.training.context import TrainingContext
from tests.pipeline.tuning.runs import search_of

stage = import_module("pipeline.40_tune")


def test_the_first_trials_are_the_published_and_the_present_settings(tuned):
    overrides, _, spec = tuned
    rows = json.loads((spec.path / "tune.json").read_text())["trials"]
    assert [row["origin"] for row in rows] == ["published", "present", None]
    present = load("sample", overrides).networks["qin"]
    networks = (paper_settings("qin"), present)
    for row, network in zip(rows, networks, strict=False):
        assert row["params"] == search_space.values(network, search_space.load("qin", network))


def test_a_study_resumes_with_the_missing_trials_and_draws_nothing_twice(tuned, own, capsys):
    for n in (3, 3, 4):
        stage.work(load("sample", [*own, f"tune.trials={n}"]), False, 1)
    output = capsys.readouterr().out
    assert output.count("3 of 3 trials to go") == 1
    assert "40_tune study sample-qin-kfold2" in output
    assert "1 of 4 trials to go" in output
    spec = graph.tunings(load("sample", own))["qin"]
    rows = json.loads((spec.path / "tune.json").read_text())["trials"]
    assert len(rows) == 4
    assert rows[2]["seed"] != rows[3]["seed"]
    assert rows[2]["params"] != rows[3]["params"]
    other = json.loads((tuned[2].path / "tune.json").read_text())["trials"]
    assert [row["params"] for row in rows[:3]] == [row["params"] for row in other]  # one seed


def test_studies_whose_trials_cannot_be_compared_have_different_names(untuned):
    def name(*more: str) -> str:
        return search_of([*untuned, *more]).name

    assert name() == name("tune.trials=9", "tune.pruner=none", "train.workers=3")
    assert name() == name("qin.fit.learning_rate=3e-3")  # searched: another present trial
    others = ["qin.max_len=3", "tune.seed=1", "train.seeds=1", "network.fit.max_epochs=3"]
    others.append("tune.users=0.5")
    assert len({name(), *map(name, others)}) == 6


def test_trials_may_see_a_share_of_the_users(untuned, own):
    s = load("sample", [*own, "tune.trials=1", "tune.users=0.5"])
    context = TrainingContext.of_run(s)
    few = context.of_users(0.5, seed=0)
    users, drawn = context.rows["train"].user, few.rows["train"].user
    assert 0.4 < len(drawn) / len(users) < 0.6
    assert len(few.label["train"]) == len(few.fold) == len(drawn)
    for user in drawn.unique():  # all rows of the user, with their own labels and folds
        of_all, of_few = users == user, drawn == user
        assert torch.equal(few.label["train"][of_few], context.label["train"][of_all])
        assert torch.equal(few.fold[of_few], context.fold[of_all])
    stage.work(s, False, 1)
    spec = graph.tunings(s)["qin"]
    assert "of 1 trials (0 pruned), on 0.5 of the users." in (spec.path / "best.toml").read_text()
    row = json.loads((spec.path / "tune.json").read_text())["trials"][0]
    trained = 0.9 * len(drawn) / 2  # one of 2 folds, without the users that choose the epoch
    rate = trained * sum(row["epochs"]) / row["seconds"]
    assert row["rows_per_second"] == pytest.approx(rate, 0.2)
    with pytest.raises(InputError, match=r"tune.users = 0.0001 leaves fold 0 without both labels"):
        context.of_users(0.0001, seed=0)


def test_changed_present_settings_are_another_trial(tuned, own):
    def queued(*more: str) -> list:
        return search_of([*own, "tune.trials=1", *more]).create().trials

    assert [trial.user_attrs["origin"] for trial in queued()] == ["published", "present"]
    queued("qin.fit.learning_rate=5e-3")
    rates = [
        trial.system_attrs["fixed_params"]["fit.learning_rate"]
        for trial in queued("qin.fit.learning_rate=5e-3")  # asked for twice, queued once
    ]
    assert rates == [2e-3, 1e-3, 5e-3]


def test_present_settings_outside_the_space_are_named_and_not_tried(own, capsys):
    search = search_of([*own, "tune.trials=1", "qin.fit.learning_rate=0.5"])
    assert [t.user_attrs["origin"] for t in search.create().trials] == ["published"]
    message = "40_tune qin: no trial of the present settings, which the space lacks: fit.learn"
    assert message in capsys.readouterr().out


def test_missing_or_negative_numbers_are_refused(untuned):
    with pytest.raises(InputError, match=r"tune\.trials = 0: set the number of trials"):
        stage.work(load("sample", untuned), False)
    with pytest.raises(InputError, match=r"--workers -1 must be at least 0"):
        stage.work(load("sample", [*untuned, "tune.trials=1"]), False, -1)


def test_strict_rules_refuse_what_a_study_may_draw_and_what_it_chose(own, write_space):
    write_space("item_levels = { type = 'categorical', choices = [false, true] }", "qin")
    official = [override for override in own if not override.startswith("folds.n=")]
    s = load("sample", [*official, "tune.trials=1", "rules=strict"])
    import_module("pipeline.20_folds").work(s, False)
    with pytest.raises(InputError, match=r"rules=strict refuses qin\.item_levels"):
        stage.work(s, False, 1)
    s = load("sample", [*official, "train.settings=tuned", "rules=strict"])
    spec = graph.tunings(s)["qin"]
    spec.path.mkdir(parents=True)
    (spec.path / "best.toml").write_text("item_levels = true")
    (spec.path / "artifact.json").write_text(json.dumps({"bytes": {}, "report": {}}))
    with pytest.raises(InputError, match=r"rules=strict refuses qin\.item_levels"):
        graph.networks(s)
