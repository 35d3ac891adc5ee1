"""Where studies lie: the journal and its lock, databases that cannot be opened."""

import re
from importlib import import_module

import pytest

from features.errors import InputError
from pipeline.config.load import load
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
