"""Trials whose worker died: they fail, and their settings are queued again.

The trial of a killed worker stays RUNNING. In a database, each worker sends heartbeats: a trial
without them fails. A journal has no heartbeats: there, each trial names the process that runs it,
and the next worker that looks fails the trials of processes that are gone, and of processes that
died before they had named themselves. `repair` does the same for trials of workers that this
machine cannot look up.
"""

import os
import socket
from datetime import datetime, timedelta

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.runtime import processes
from pipeline.tuning.optuna_output import experimental_features
from pipeline.tuning.storage import MAX_RETRY, has_journal

WORKER = "worker"  # user attribute of a trial: host:pid:start of the process that runs it
NAMING_TIMEOUT = timedelta(minutes=1)  # a living worker names itself long before


def fail_stale_trials(study: Study) -> list[FrozenTrial]:
    """Fail the RUNNING trials whose worker is known to be dead, and queue their settings again.

    Returns them for a journal; a database does not tell which they were.
    """
    if has_journal(study):
        return [t for t in _running(study) if _has_dead_worker(t) and release(study, t)]
    with experimental_features():
        optuna.storages.fail_stale_trials(study)
    return []


def repair(study: Study) -> list[FrozenTrial]:
    """As `fail_stale_trials`, but in a journal for every trial whose worker is not seen alive."""
    if has_journal(study):
        return [t for t in _running(study) if not is_alive(_worker(t)) and release(study, t)]
    return fail_stale_trials(study)


def release(study: Study, trial: FrozenTrial, max_retry: int | None = MAX_RETRY) -> bool:
    """Fail a trial that nobody runs, and queue its settings; False if another process did so."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, UpdateFinishedTrialError):  # Optuna's answer for a finished trial
        return False
    requeue(study, trial, max_retry)
    return True


def requeue(study: Study, trial: FrozenTrial, max_retry: int | None = None) -> None:
    """Queue the settings of a failed trial again, at most `max_retry` times."""
    with experimental_features():
        RetryHeartbeatStaleTrialCallback(max_retry=max_retry)(study, trial)


def this_worker() -> str:
    """A name that no other process has: host:pid:start."""
    return f"{socket.gethostname()}:{os.getpid()}:{processes.started_at(os.getpid())}"


def is_alive(worker: str) -> bool | None:
    """Whether the process of a worker runs; None where this machine cannot know."""
    host, _, rest = worker.partition(":")
    if host != socket.gethostname():
        return None
    pid, _, start = rest.partition(":")
    return processes.started_at(int(pid)) == start


def runs_elsewhere(study: Study) -> bool:
    """Whether a RUNNING trial's worker is on another machine, where nobody here sees it die."""
    return any(_worker(trial) and is_alive(_worker(trial)) is None for trial in _running(study))


def _has_dead_worker(trial: FrozenTrial) -> bool:
    """Whether a RUNNING trial's worker is known to be dead, or died before it named itself."""
    if not _worker(trial):
        return datetime.now() - trial.datetime_start > NAMING_TIMEOUT
    return is_alive(_worker(trial)) is False


def _worker(trial: FrozenTrial) -> str:
    return trial.user_attrs.get(WORKER, "")


def _running(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=True, states=(TrialState.RUNNING,))
