"""best.toml and tune.json, and the stages that read them."""

import json
import tomllib
from dataclasses import asdict, replace
from importlib import import_module

import pytest

from features.errors import InputError
from models.settings import NetworkSettings
from pipeline import graph
from pipeline.artifacts import spec as artifact
from pipeline.config import search_space
from pipeline.config.load import load
from pipeline.config.networks import paper_settings
from pipeline.config.schema import checked
from pipeline.config.tables import merge
from pipeline.reporting.scores import tuning_bias
from pipeline.runs.report import report
from pipeline.tuning import results, workers
from tests.pipeline.tuning.runs import fake_fits


def summary_of(spec) -> dict:
    return json.loads((spec.path / "tune.json").read_text())


def test_tune_json_keeps_the_result_of_every_trial(tuned):
    _, _, spec = tuned
    summary = summary_of(spec)
    assert summary["direction"] == "maximize"
    assert summary["importances"] is None  # of three trials
    best = max(summary["trials"], key=lambda row: row["value"])
    assert summary["best"] == {key: best[key] for key in ("number", "value", "params")}
    for row in summary["trials"]:
        assert row["state"] == "COMPLETE"
        assert row["value"] == pytest.approx(sum(row["fold_aucs"]) / 2, abs=1e-12)
        assert row["seed"] == summary["trials"][0]["seed"] >= 0
        assert 100 < row["peak_mib"] < 4000
        assert 0 < row["seconds"] < 100
        rate = 540 * sum(row["epochs"]) / row["seconds"]  # of 600, one in ten chooses the epoch
        assert row["rows_per_second"] == pytest.approx(rate, 0.1)


def test_50_train_scores_what_the_trial_of_its_settings_scored(tuned, untuned):
    overrides, _, spec = tuned
    summary = summary_of(spec)
    best = summary["best"]["number"]
    import_module("pipeline.50_train").work(load("sample", untuned), False)
    for run, number in ((untuned, 1), (overrides, best)):  # trial 1: the present settings
        fits = graph.fits(load("sample", run)).values()
        reports = [artifact.record(fit.path)["report"] for fit in fits]
        row = summary["trials"][number]
        assert row["fold_aucs"] == [report["auc"] for report in reports]
        assert row["epochs"] == [len(report["epochs"]) for report in reports]
    assert best != 1  # else this has shown nothing


def test_50_train_takes_the_best_trial_only_on_request(tuned, untuned):
    overrides, _, spec = tuned
    plain, with_study = load("sample", untuned), load("sample", overrides)
    present = plain.networks["qin"]
    assert graph.networks(plain) == plain.networks
    used = graph.networks(with_study)["qin"]
    best = summary_of(spec)["best"]["params"]
    space = search_space.load("qin", used)
    assert search_space.values(used, space) == best
    assert replace(used, qnn=present.qnn, fit=present.fit) == present
    is_changed = best != search_space.values(present, space)
    fits = [graph.fits(s)["qin", 0, 0] for s in (plain, with_study)]
    assert (fits[0].hash != fits[1].hash) == is_changed
    assert fits[1].settings["network"] == used.naming()


def test_best_toml_is_a_difference_to_the_networks_own(tuned):
    overrides, _, spec = tuned
    text = (spec.path / "best.toml").read_text()
    assert "the best of 3 trials (0 pruned)" in text
    tree = merge(asdict(paper_settings("qin")), tomllib.loads(text))
    used = graph.networks(load("sample", overrides))["qin"]
    assert checked(NetworkSettings, tree, "qin") == used
    assert "interest" not in tomllib.loads(text)


def test_toml_is_read_back_as_it_was():
    tree = {"a": 1, "b": 1e-7, "c": 'say "so"\\', "d": True, "e": (1, 2), "f": (), "s": {"x": 0.5}}
    assert tomllib.loads(results.toml(tree)) == tree | {"e": [1, 2], "f": []}
    nested = {"s": {"t": {"u": 1}}, "z": 2}
    assert tomllib.loads(results.toml(nested)) == nested


def test_missing_tuned_settings_name_the_command_that_makes_them(tuned, untuned):
    for stage, override in (("50_train", "tune.seed=7"), ("80_report", "qin.max_len=3")):
        other = load("sample", [*untuned, "train.settings=tuned", override])
        with pytest.raises(InputError) as error:
            import_module(f"pipeline.{stage}").work(other, False, *[None] * (stage > "80"))
        message = str(error.value)
        assert "train.settings=tuned, but qin has no finished study of these settings" in message
        assert "run python -m pipeline.40_tune sample data.users=300" in message
    tuned_by_any = load("sample", [*untuned, "train.settings=tuned"])  # of any number of trials
    assert graph.networks(tuned_by_any)
    with pytest.raises(InputError, match="no finished study"):
        graph.networks(load("sample", [*untuned, "train.settings=tuned", "tune.trials=9"]))


def test_a_run_tunes_before_it_trains_and_reports_that_folds_chose_settings(tuned, untuned):
    overrides, stages, _ = tuned
    after_features = stages.index("30_features") + 1
    assert stages[after_features : after_features + 2] == ["40_tune", "50_train"]
    table = json.loads((report(load("sample", overrides), {}).path / "scores.json").read_text())
    assert table["tuned"] == ["qin"]
    assert "folds also chose the settings of qin" in tuning_bias(table)
    assert "40_tune" not in graph.stages(load("sample", [*untuned, "train.settings=tuned"]))
    runner = import_module("pipeline.__main__")
    assert runner.status(load("sample", overrides), "40_tune") == runner.DONE
    more = load("sample", [*overrides, "tune.trials=9"])
    assert runner.status(more, "40_tune") == runner.status(more, "50_train") == "to build"


def test_a_submission_names_the_networks_whose_settings_the_folds_chose(tuned):
    s = load("sample", tuned[0])
    manifest = json.loads((graph.submission(s).path / "manifest.json").read_text())
    assert manifest["tuned"] == ["qin"]
    assert "folds also chose the settings of qin" in graph.board(s).read_text()


def test_a_study_without_a_complete_trial_has_no_best_one(search, tmp_path):
    with pytest.raises(InputError, match="none of its 0 finished trials is complete"):
        results.write(search, search.create(), tmp_path)
    assert not list(tmp_path.glob("*.toml"))


def test_importances_name_what_matters(search, monkeypatch):
    fake_fits(monkeypatch, lambda rate, fold: 0.5 + 10 * rate)
    settings = search.settings
    settings = replace(settings, tune=replace(settings.tune, trials=30, pruner="none"))
    study = workers.run(replace(search, settings=settings), 1)
    shares = results.importances(study, study.trials)
    assert max(shares, key=shares.get) == "fit.learning_rate"
    assert sum(shares.values()) == pytest.approx(1)
    assert results.importances(study, study.trials[:9]) is None
