"""Artifacts whose bytes are no longer those that were recorded."""

import math

import pytest

from features.errors import InputError
from pipeline.artifacts.spec import ArtifactSpec, digest, record, require
from pipeline.artifacts.store import write_artifact
from pipeline.artifacts.verify import DamagedArtifact, verify
from pipeline.runtime.build import is_up_to_date
from tests.helpers.damage import flip


@pytest.fixture
def target(tmp_path):
    target = ArtifactSpec("10_prepare", "store", tmp_path / "10_prepare", {}, {})
    with write_artifact(target) as out:
        (out / "train").mkdir()
        (out / "train/label.npy").write_bytes(bytes(100))
        (out / "train/values.npy").write_bytes(bytes(10_000))
    return target


def test_a_flip_in_place_is_seen_before_the_file_is_used(target):
    assert require(target) == target.path
    flip(target.path / "train/label.npy")
    assert target.done  # the size is the same
    digest(target)  # a name needs no file but the record
    for use in (lambda: require(target), lambda: is_up_to_date(target, False)):
        with pytest.raises(DamagedArtifact) as refused:
            use()
        assert isinstance(refused.value, InputError)  # exit code 2
        message = str(refused.value)
        assert message.startswith(f"{target.path} is damaged: the sha256 of train/label.npy")
        assert "delete the folder and run the same command again" in message
    assert not is_up_to_date(target, True)


def test_only_the_smallest_files_are_checked_at_use_and_all_on_request(target):
    found = record(target.path)
    assert verify(target.path, found, 5_000) == (1, 100)
    assert verify(target.path, found, math.inf) == (2, 10_100)
    flip(target.path / "train/values.npy")
    verify(target.path, found, 5_000)
    with pytest.raises(DamagedArtifact, match=r"train/values\.npy"):
        verify(target.path, found, math.inf)


def test_a_process_reads_an_unchanged_file_once(target, monkeypatch):
    require(target)
    monkeypatch.setattr("hashlib.file_digest", None)
    require(target)
