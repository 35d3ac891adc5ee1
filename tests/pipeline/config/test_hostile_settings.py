"""Profiles and overrides made to do harm: NUL, nesting, sizes that no machine has."""

import pytest

from features.errors import InputError
from pipeline.config.load import load


def refused(*overrides: str, profile: str = "sample") -> str:
    with pytest.raises(InputError) as error:
        load(profile, list(overrides))
    assert "\0" not in str(error.value)
    return str(error.value)


def test_nul_and_what_is_no_text_is_refused_by_name(tmp_path):
    profile = tmp_path / "mine.toml"
    profile.write_text('extends = "challenge"\n[data]\ndir = "a\\u0000b"\n')
    message = refused(profile=str(profile))
    assert r"data.dir = 'a\x00b' must be plain UTF-8 text, without NUL" in message
    assert "artifacts = 'a\\udcffb' must be plain" in refused("artifacts=a\udcffb")
    message = refused('data.embeddings=["a\\u0000"]', profile="microlens_release")
    assert r"data.embeddings: 'a\x00' must be plain" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[folds]\nn = " + "9" * 5000, "not TOML: Exceeds the limit"),
        ("[folds]\nn = 0x" + "f" * 5000, "not TOML: Exceeds the limit"),
        ("[folds]\nn = " + "[" * 5000, "not TOML: tables or lists are nested too deep"),
        ("[folds]\nn = 2020-13-45", "not TOML"),
        ("\udcff", "not TOML: 'utf-8' codec"),
        ("[folds]\nn = '3'", "folds.n = '3' must be a whole number"),
        ("[fold]\nn = 3", "unknown key 'fold', did you mean 'folds'?"),
        ("[folds]\nm = 3", "unknown key 'folds.m'"),
        ("folds = 3", "folds = 3 must be a section"),
        ("[qin]\nqnn = 3", "qin.qnn = 3 must be a section"),
    ],
)
def test_a_profile_that_is_wrong_is_refused_with_its_path(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_bytes(f'extends = "sample"\n{text}\n'.encode(errors="surrogateescape"))
    refusal = refused(profile=str(path))
    assert str(path) in refusal
    assert message in refusal
    assert "\n" not in refusal.removeprefix(str(path))


def test_an_override_cannot_bring_other_overrides_along():
    assert "must be a whole number" in refused("folds.n=3\nx=4")


@pytest.mark.parametrize(
    ("profile", "override", "message"),
    [
        (
            "sample",
            "data.users=1000000000000",
            "must be a whole number in [1, 10^8]",
        ),
        ("sample", "data.items=1000000000000", "must be a whole number in [200, 10^7]"),
        ("microlens_release", "data.seed=4294967296", "must be a whole number in [0, 2^32)"),
        ("microlens_release", "data.history_width=10001", "must be a whole number in [1, 10000]"),
        (
            "microlens_release",
            "data.tags=1000000000000000000000",
            "must be a whole number in [0, 10^7]",
        ),
        ("sample", "prepare.codes=101", "codes = 101 must be a whole number in [0, 100]"),
        ("sample", "train.device=cuda:99999999999", "must be auto, cpu, cuda or cuda:<n>"),
        ("sample", "train.device=cuda:٣", "must be auto, cpu, cuda or cuda:<n>"),
    ],
)
def test_sizes_that_no_machine_has_are_refused(profile, override, message):
    assert message in refused(override, profile=profile)
