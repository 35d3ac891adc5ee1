"""What a message about unknown names offers."""

import pytest

from features.errors import InputError
from pipeline.config.load import KEYS, load
from pipeline.config.nearest import OTHER_NAMES, near_key, without_repeats


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_the_fields_own_name_of_a_setting_offers_our_keys(name):
    hint = near_key(name, KEYS)
    assert any(key.endswith(OTHER_NAMES[name]) and key in hint for key in KEYS), hint


def test_what_there_is_is_listed_once():
    problems = ["a; there are x, y", "b; there are x, y", "c; there are z", "a; there are x, y"]
    assert without_repeats(problems) == ["a; there are x, y", "b", "c; there are z"]


@pytest.mark.parametrize("typed", [["models=foo,bar"], ["qin.foo=1", "din.bar=2"]])
def test_two_unknown_names_list_what_there_is_once(typed):
    with pytest.raises(InputError) as error:
        load("sample", typed)
    assert str(error.value).count("there are") == 1
    assert all(name in str(error.value).partition(":")[2] for name in ("foo", "bar"))
