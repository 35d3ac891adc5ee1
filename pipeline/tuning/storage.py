"""Where the studies of a profile lie: in a journal, or in the database of tune.storage.

The journal lies beside 40_tune's results; a database serves workers on many machines.
"""

import contextlib
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
)
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from features.errors import InputError
from pipeline.artifacts import locks
from pipeline.config.settings import Settings
from pipeline.tuning.optuna_output import experimental_features

MAX_RETRY = 3  # times that settings are queued again whose worker died: they may be what kills it
POLL_S = 0.002  # another worker writes its line in less


def journal_path(settings: Settings) -> Path:
    """The journal of all studies of a profile."""
    return Path(settings.artifacts) / settings.profile / "40_tune" / "studies.journal"


def open_storage(settings: Settings) -> BaseStorage:
    """The storage of the studies, created if needed.

    Raises InputError where tune.storage cannot be opened, or the journal cannot be read.
    """
    if settings.tune.storage:
        return _database(settings.tune.storage, settings.tune.heartbeat)
    path = journal_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalLock(path)
    try:
        _cut_torn_line(path, lock)
        return JournalStorage(JournalFileBackend(str(path), lock))
    except ValueError as error:
        raise InputError(f"{path}: not a journal that Optuna can read ({error})") from None


def open_existing_storage(settings: Settings) -> BaseStorage:
    """As `open_storage`; raises InputError where there is nothing to open."""
    url = settings.tune.storage
    file = sqlite_file(url) if url else journal_path(settings)
    if file and not Path(file).exists():
        raise InputError(f"{file} is missing: no study of this profile was started")
    return open_storage(settings)


@contextlib.contextmanager
def database_errors(settings: Settings) -> Iterator[None]:
    """Within it, a database that fails while it is used (gone, locked, full) is an InputError."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        raise InputError(
            f"tune.storage = {settings.tune.storage!r}: {_one_line(cause)}; the same command"
            " resumes the study once the database answers"
        ) from None


def has_journal(study: Study) -> bool:
    """Whether `study` lies in a journal, which knows no heartbeats.

    Optuna has no public name for a study's storage: this is the only use of `Study._storage`. Held
    by tests/pipeline/tuning/test_storage.py, for a journal and for a database.
    """
    return isinstance(study._storage, JournalStorage)


def sqlite_file(url: str) -> str | None:
    """The file of an SQLite database, empty for one in memory; None for any other database."""
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):  # opening it raises the error that names the URL
        return None
    return (parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


class JournalLock:
    """The lock of a journal's writers, as Optuna's JournalFileBackend wants it.

    Optuna's own locks are links, which a killed process leaves behind. The kernel frees this one
    with its process.
    """

    def __init__(self, journal: Path) -> None:
        self.lock = locks.file_lock(journal.with_name(f"{journal.name}.lock"))

    def acquire(self) -> bool:
        """Wait for the lock. A process that was interrupted before `release` still has it."""
        while not locks.try_acquire(self.lock):
            time.sleep(POLL_S)
        return True

    def release(self) -> None:
        self.lock.release(force=True)  # however often an interrupted process acquired it


def _database(url: str, heartbeat: int) -> RDBStorage:
    file = sqlite_file(url)
    if file in ("", ":memory:"):
        raise InputError(f"tune.storage = {url!r} would be forgotten: name a file, sqlite:///FILE")
    try:
        with experimental_features():
            return RDBStorage(
                url,
                heartbeat_interval=heartbeat,
                grace_period=2 * heartbeat,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(MAX_RETRY),
            )
    except (SQLAlchemyError, ImportError, ValueError) as error:  # ValueError: of the port
        raise InputError(
            f"tune.storage = {url!r} cannot be opened: {_one_line(error)}; expected an Optuna URL"
            " such as postgresql+psycopg://user@host/database"
        ) from None
    except RuntimeError as error:  # Optuna's answer for the tables of another version
        is_older = "storage upgrade" in str(error)
        remedy = (
            f"back it up and run: optuna storage upgrade --storage {shlex.quote(url)}"
            if is_older
            else "install that version of Optuna"
        )
        raise InputError(
            f"tune.storage = {url!r}: {_one_line(error).partition('. ')[0]}; {remedy}, or name"
            " another database"
        ) from None


def _cut_torn_line(path: Path, lock: JournalLock) -> None:
    """Remove an incomplete last line before another line is appended to it."""
    if not path.exists():
        return
    lock.acquire()
    try:
        with path.open("rb+") as file:
            text = file.read()
            file.truncate(text.rfind(b"\n") + 1)
    finally:
        lock.release()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
