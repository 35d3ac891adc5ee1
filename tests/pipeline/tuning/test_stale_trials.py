"""Trials whose worker died, or cannot be looked up."""

import os
import socket
from datetime import timedelta

from pipeline.tuning import stale_trials
from pipeline.tuning.stale_trials import WORKER, this_worker
from pipeline.tuning.storage import MAX_RETRY
from tests.pipeline.tuning.runs import states

GONE = f"{socket.gethostname()}:{os.getpid()}:1"  # another process has this one's number now


def test_trials_of_workers_that_cannot_be_looked_up_wait_for_repair(search):
    study = search.create()
    for worker in ("elsewhere:1:2", this_worker(), GONE, ""):
        trial = study.ask()
        if worker:
            trial.set_user_attr(WORKER, worker)
    assert [trial.number for trial in stale_trials.fail_stale_trials(study)] == [2]  # GONE
    assert [trial.number for trial in stale_trials.repair(study)] == [0, 3]
    assert stale_trials.repair(study) == []
    assert states(study)[:4] == ["FAIL", "RUNNING", "FAIL", "FAIL"]
    assert states(study).count("WAITING") == 3


def test_the_trial_of_a_worker_that_died_before_it_named_itself_fails(search, monkeypatch):
    study = search.create()
    study.ask()
    assert stale_trials.fail_stale_trials(study) == []
    monkeypatch.setattr(stale_trials, "NAMING_TIMEOUT", timedelta(0))
    assert [trial.number for trial in stale_trials.fail_stale_trials(study)] == [0]
    assert states(study) == ["FAIL", "WAITING", "WAITING"]


def test_settings_that_kill_their_worker_are_given_up(search):
    study = search.create()
    for _ in range(20):
        trial = study.ask()
        trial.set_user_attr(WORKER, GONE)
        trial.suggest_float("x", 0, 1)
        stale_trials.fail_stale_trials(study)
    n_retries = {len(t.system_attrs.get("retry_history", [])) for t in study.trials}
    assert max(n_retries) == MAX_RETRY
