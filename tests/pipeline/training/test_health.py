"""What is wrong with a fit is read from its learning curve and from its siblings."""

from dataclasses import replace
from importlib import import_module

import pytest

from models.settings import NetworkSettings
from models.training import warm_up
from pipeline import graph
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.store import write_artifact
from pipeline.config.load import load
from pipeline.graph import OFFICIAL
from pipeline.training import health

PLAIN = NetworkSettings(interest="asta", interaction="qnn")


def of_losses(*losses):
    return [{"loss": loss} for loss in losses]


def fit(auc, scores=(0.6, 0.8, 0.79), max_epochs=100, **report):
    """The artifact.json of a fit; 4,000 held-out rows, a quarter of them clicked."""
    report = {"auc": auc, "chance_error": 0.0105} | report
    report["epochs"] = [{"score": score} for score in scores]
    report["best_epoch"] = 1 + scores.index(max(scores))
    return {"settings": {"network": {"fit": {"max_epochs": max_epochs}}}, "report": report}


def run(*fits, model="qin"):
    return {(model, 0, fold): one for fold, one in enumerate(fits)}


def test_sound_fits_are_silent():
    """Their folds differ, and so do their AUCs; of few rows by more."""
    assert health.findings(run(fit(0.7804), fit(0.8058), fit(0.8099))) == []
    assert health.findings(run(fit(0.7488), fit(0.7926), fit(0.8178))) == []
    assert health.findings({("din", 0, OFFICIAL): fit(0.58)}) == []
    few_rows = run(fit(0.80, chance_error=0.04), fit(0.95, chance_error=0.04))
    assert health.findings(few_rows) == []


@pytest.mark.parametrize("auc", [0.5445, 0.5762, 0.5599])
def test_a_fit_far_below_its_siblings_is_named(auc):
    """AUCs of fits that stopped in their first epochs."""
    fits = run(fit(0.8104), fit(0.8058), fit(auc, scores=(0.553, 0.58, 0.542, 0.572, 0.565)))
    fits |= run(fit(0.6), fit(0.6), fit(0.6), model="din")  # another network is no sibling
    (found,) = health.findings(fits)
    assert (found.fit, found.fault, found.learned) == (("qin", 0, 2), "below its siblings", False)
    assert str(found) == (
        f"qin seed 0 fold 2 reached an AUC of {auc:.4f}, a sibling 0.8104;"
        " raise qin.fit.patience and qin.fit.decay_patience"
    )


def test_other_seeds_are_siblings_too():
    official = {("qin", seed, OFFICIAL): fit(auc) for seed, auc in enumerate((0.81, 0.6, 0.82))}
    (found,) = health.findings(official)
    assert found.text == "qin seed 1 reached an AUC of 0.6000, a sibling 0.8200"


def test_a_fit_at_chance_says_which_setting_ended_it():
    (found,) = health.findings(run(fit(0.52, scores=(0.51, 0.53, 0.5))))
    assert found.text == "qin seed 0 fold 0 hardly ranks better than chance: AUC 0.5200"
    assert found.remedy == "try another qin.fit.learning_rate, or more users"
    (found,) = health.findings(run(fit(0.52, scores=(0.51, 0.5, 0.53), max_epochs=3)))
    assert found.remedy == "raise qin.fit.max_epochs"


def test_fits_that_all_failed_are_named_although_none_is_far_below_another():
    """The three of a world of 3,000 users; the last one is beyond chance by itself."""
    found = health.findings(run(fit(0.5607), fit(0.583), fit(0.5444)))
    assert [(one.fit[2], one.fault) for one in found] == [(0, "at chance"), (2, "at chance")]
    assert health.CHANCE == warm_up.ERRORS


def test_a_fit_that_still_rises_in_the_last_epoch_that_it_is_allowed_is_named():
    scores = (0.6, 0.7, 0.8)
    (found,) = health.findings(run(fit(0.8, scores, max_epochs=3)))
    assert (found.fault, found.learned) == ("still rising", True)
    assert str(found) == (
        "qin seed 0 fold 0 was still rising in epoch 3, its last; raise qin.fit.max_epochs"
    )
    assert health.findings(run(fit(0.8, (0.6, 0.8, 0.79), max_epochs=3))) == []
    assert health.findings(run(fit(0.8, (0.8,), max_epochs=1))) == []  # one epoch shows no rise


def test_fits_of_an_older_version_are_judged_without_their_noise():
    fits = run(fit(0.81), fit(0.55))
    for one in fits.values():
        del one["report"]["chance_error"]
    assert [found.fault for found in health.findings(fits)] == ["below its siblings"]


@pytest.mark.parametrize("module", ["50_train", "__main__"])
def test_50_train_ends_with_a_warning_for_each_such_fit_also_where_nothing_is_left_to_do(
    module, tmp_path, monkeypatch, capsys
):
    specs = {}
    for key, one in run(fit(0.81), fit(0.82), fit(0.57)).items():
        specs[key] = ArtifactSpec("50_train", f"qin-fold{key[2]}", tmp_path, one["settings"])
        with write_artifact(specs[key]) as out:
            out.report = one["report"]
    monkeypatch.setattr(graph, "fits", lambda s: specs)
    s, module = load("sample", ["models=qin"]), import_module(f"pipeline.{module}")
    module.run(s, "50_train", False) if hasattr(module, "run") else module.work(s, False)
    assert capsys.readouterr().out.splitlines()[3:] == [
        "50_train warning: qin seed 0 fold 2 reached an AUC of 0.5700, a sibling 0.8200",
        "    raise qin.fit.patience and qin.fit.decay_patience",
    ]


def test_55_mask_says_that_it_opened_a_fit_that_did_not_learn(capsys):
    (fault,) = health.findings(run(fit(0.57), fit(0.81), fit(0.82)))
    shuffled = {"auc": 0.57, "auc_shuffled": 0.5, "helps": True}
    passed = {"passed": True, "largest_change": 0, "moved": 1}
    entry = {"padding": passed, "history": passed, "shuffled": shuffled}
    import_module("pipeline.55_mask").print_result("qin", entry, fault)
    warning = capsys.readouterr().out.splitlines()[1]
    assert warning.startswith(
        "55_mask warning: qin seed 0 fold 0 reached an AUC of 0.5700, a sibling"
    )


def test_a_rising_training_loss_is_found_and_noise_is_not():
    assert health.loss_rises(of_losses(0.6, 0.5, 0.505, 0.4)) == []
    assert health.loss_rises(of_losses(0.6, 0.05, 0.06, 0.05)) == []  # learned by heart
    assert health.loss_rises(of_losses(0.6137, 0.5397, 0.5818)) == [(3, 0.5397, 0.5818)]


def test_an_unstable_fit_says_where_and_what_to_lower():
    assert health.unstable("qin", of_losses(0.5, 0.6), PLAIN) == (
        "unstable, the training loss rose from 0.5000 to 0.6000 in epoch 2;"
        " lower qin.fit.learning_rate or qin.qnn.rows"
    )
    twice = of_losses(0.5, 0.52, 0.4, 0.5)
    without_rows = health.unstable("din", twice, replace(PLAIN, interaction="mlp"))
    assert "from 0.4000 to 0.5000 in epoch 4 and in 1 more" in without_rows
    assert without_rows.endswith("lower din.fit.learning_rate")
