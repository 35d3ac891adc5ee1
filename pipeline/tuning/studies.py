"""Optuna's studies of a profile: where they lie, and what becomes of trials whose worker died.

They lie in a journal beside 40_tune's results, or in tune.storage, a database for workers on many
machines. A trial whose worker was killed stays RUNNING. A database hears heartbeats: a trial that
fell silent fails, and its settings are queued again. A journal hears none, so there a trial names
the process that runs it, and whoever looks next does the same for processes that are gone, or
were before they could say so. `repair` does it for those that cannot be looked up as well.
"""

import contextlib
import fcntl
import os
import socket
import time
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
)
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from features.errors import InputError
from pipeline.artifacts import locks
from pipeline.config.load import Settings
from pipeline.runtime import processes

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
MAX_RETRY = 3  # of settings whose worker died: they may be what kills it
NAMELESS = timedelta(minutes=1)  # after which a trial should have long said who runs it
WORKER = "worker"  # user attribute of a trial: host:pid:start of the process that runs it

optuna.logging.set_verbosity(optuna.logging.ERROR)


def journal(s: Settings) -> Path:
    """The journal of all studies of a profile."""
    return Path(s.artifacts) / s.profile / "40_tune" / "studies.journal"


def storage(s: Settings) -> BaseStorage:
    """Where the studies lie. Raises InputError where tune.storage cannot be opened."""
    if s.tune.storage:
        return _database(s.tune.storage, s.tune.heartbeat)
    path = journal(s)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock(path)
    try:
        _cut_torn_line(path, lock)
        return JournalStorage(JournalFileBackend(str(path), lock))
    except ValueError as error:
        raise InputError(f"{path}: not a journal that Optuna can read ({error})") from None


def _database(url: str, heartbeat: int) -> RDBStorage:
    file = sqlite_file(url)
    if file in ("", ":memory:"):
        raise InputError(f"tune.storage = {url!r} would be forgotten: name a file, sqlite:///FILE")
    try:
        with experiments():
            retry = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRY)
            return RDBStorage(
                url,
                heartbeat_interval=heartbeat,
                grace_period=2 * heartbeat,
                heartbeat_stale_trial_callback=retry,
            )
    except (SQLAlchemyError, ImportError, ValueError) as error:  # ValueError: the port
        raise InputError(
            f"tune.storage = {url!r} cannot be opened: {' '.join(str(error).split())}; expected an"
            " Optuna URL such as postgresql+psycopg://user@host/database"
        ) from None


def sqlite_file(url: str) -> str | None:
    """The file of an SQLite database, empty for one in memory; None for any other database."""
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):  # which opening it will say
        return None
    return (parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


class Lock:
    """Who holds it writes to a journal. The kernel frees it with the process that holds it.

    Optuna's own are links, which a process that is killed leaves behind; and where an interrupt
    comes upon one, it turns into some other error.
    """

    def __init__(self, journal: Path) -> None:
        self.file = journal.with_name(f"{journal.name}.lock").open("a")

    def acquire(self) -> bool:
        """Wait for it; what an interrupt kept from being released is there for the same process."""
        while not locks.taken(self.file):
            time.sleep(0.002)  # a line is written in less
        return True

    def release(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)


def _cut_torn_line(path: Path, lock: Lock) -> None:
    """Remove a last line that was never written to its end, before another is joined to it."""
    if not path.exists():
        return
    lock.acquire()
    try:
        with path.open("rb+") as file:
            text = file.read()
            file.truncate(text.rfind(b"\n") + 1)
    finally:
        lock.release()


def count(study: Study, *states: TrialState) -> int:
    return len(study.get_trials(deepcopy=False, states=states))


def fail_stale_trials(study: Study) -> list[FrozenTrial]:
    """Fail the RUNNING trials whose worker is known to be dead, and queue their settings again."""
    if isinstance(_storage_of(study), JournalStorage):
        return [t for t in _running(study) if _dead(t) and release(study, t)]
    with experiments():
        optuna.storages.fail_stale_trials(study)
    return []


def repair(study: Study) -> list[FrozenTrial]:
    """As `fail_stale_trials`; in a journal, for all trials but those of processes that are seen
    to be alive."""
    if isinstance(_storage_of(study), JournalStorage):
        return [t for t in _running(study) if not alive(_worker(t)) and release(study, t)]
    return fail_stale_trials(study)


def release(study: Study, trial: FrozenTrial, max_retry: int | None = MAX_RETRY) -> bool:
    """Fail a trial that nobody runs any more, and queue its settings; False where another has."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, UpdateFinishedTrialError):  # what a trial that is finished says
        return False
    requeue(study, trial, max_retry)
    return True


def requeue(study: Study, trial: FrozenTrial, max_retry: int | None = None) -> None:
    """Queue the settings of a failed trial again, unless that was done `max_retry` times before."""
    with experiments():
        RetryHeartbeatStaleTrialCallback(max_retry=max_retry)(study, trial)


@contextlib.contextmanager
def experiments() -> Iterator[None]:
    """Without Optuna's warning that heartbeats and retries are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def me() -> str:
    """This process, as no other is called: host:pid:start."""
    return f"{socket.gethostname()}:{os.getpid()}:{processes.started_at(os.getpid())}"


def _dead(trial: FrozenTrial) -> bool:
    """Whether the worker of a RUNNING trial is known to be dead, or did not live to name itself."""
    if not _worker(trial):
        return datetime.now() - trial.datetime_start > NAMELESS
    return alive(_worker(trial)) is False


def alive(worker: str) -> bool | None:
    """Whether a process runs; None where this machine cannot know."""
    host, _, rest = worker.partition(":")
    if host != socket.gethostname():
        return None
    pid, _, start = rest.partition(":")
    return processes.started_at(int(pid)) == start


def _worker(trial: FrozenTrial) -> str:
    return trial.user_attrs.get(WORKER, "")


def _running(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=True, states=(TrialState.RUNNING,))


def _storage_of(study: Study) -> BaseStorage:
    return study._storage  # Optuna has no public name for it
