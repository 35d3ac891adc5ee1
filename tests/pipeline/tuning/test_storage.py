"""Where studies lie: the journal and its lock, databases that cannot be opened."""

import contextlib
import re
import sqlite3
from importlib import import_module

import optuna
import pytest

from features.errors import InputError
from pipeline.config.load import load
from pipeline.tuning import studies
from pipeline.tuning.storage import JournalLock, has_journal, open_storage
from tests.pipeline.tuning.runs import is_free, search_of


def test_an_interrupt_leaves_the_journal_to_its_process_which_can_still_release_it(tmp_path):
    lock, other = (JournalLock(tmp_path / "a.journal") for _ in range(2))
    lock.acquire()  # then an interrupt, and no release
    assert not is_free(other)
    lock.acquire()
    lock.release()
    assert is_free(other)


def test_a_study_knows_whether_it_lies_in_a_journal(own, tmp_path):
    assert has_journal(search_of(own).create())
    assert not has_journal(search_of([*own, f"tune.storage=sqlite:///{tmp_path}/s.db"]).create())


def test_a_storage_that_cannot_be_opened_is_named(own):
    for url, message in (
        ("postgresql+psycopg://me@127.0.0.1:1/none", "cannot be opened"),
        ("redis://localhost", "expected an Optuna URL such as postgresql+psycopg://"),
        ("nonsense", "Could not parse"),
        ("sqlite://", "would be forgotten: name a file"),
        ("postgresql+psycopg://me@127.0.0.1:port/none", "cannot be opened"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            open_storage(load("sample", [*own, f"tune.storage={url}"]))


def test_repair_does_not_create_a_missing_database(own, tmp_path):
    s = load("sample", [*own, f"tune.storage=sqlite:///{tmp_path}/typo.db"])
    with pytest.raises(InputError, match=r"typo.db is missing"):
        import_module("pipeline.40_tune").repair(s)
    assert not (tmp_path / "typo.db").exists()


def schema_of(database, version: str) -> list[str]:
    """Overrides of a study's database whose tables are marked as those of another version."""
    url = f"sqlite:///{database}"
    optuna.create_study(storage=url)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update alembic_version set version_num = ?", [version])
        connection.execute("update version_info set library_version = '2.10.1'")
    return [f"tune.storage={url}"]


UPGRADE = "back it up and run: optuna storage upgrade --storage sqlite:///"
INSTALL = "install that version of Optuna, or name another database"


@pytest.mark.parametrize(
    ("version", "remedy", "option"),
    [
        ("v2.6.0.a", UPGRADE, []),
        ("v2.6.0.a", UPGRADE, ["--repair"]),
        ("v2.6.0.a", UPGRADE, ["--dashboard"]),
        ("v99.0.0", INSTALL, []),
    ],
)
def test_tables_of_another_optuna_end_with_one_line(own, tmp_path, capsys, version, remedy, option):
    typed = ["tune.trials=3", *schema_of(tmp_path / "old.db", version), *option]
    with pytest.raises(SystemExit) as ended:
        import_module("pipeline.40_tune").main(["sample", *own, *typed])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "(set up by optuna 2.10.1)" in error
    assert remedy in error


def test_a_database_that_fails_in_use_ends_with_one_line(own, tmp_path, monkeypatch, capsys):
    def lose(search):
        study = create(search)
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
            connection.execute("drop table trials")
        return study

    create = studies.Search.create
    typed = [*own, "tune.trials=3", f"tune.storage=sqlite:///{tmp_path}/s.db"]
    monkeypatch.setattr(studies.Search, "create", lose)
    with pytest.raises(SystemExit) as ended:
        import_module("pipeline.40_tune").main(["sample", *typed])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert "no such table: trials" in error
