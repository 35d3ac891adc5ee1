"""What a message about unknown names offers."""

import pytest

from features.errors import InputError
from pipeline.config.load import KEYS, load
from pipeline.config.nearest import OTHER_NAMES, near_key, without_repeats


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_the_fields_own_name_of_a_setting_offers_our_keys(name):
    hint = near_key(name, KEYS)
    assert any(key.endswith(OTHER_NAMES[name]) and key in hint for key in KEYS), hint


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("network.qnn.layer", "network.qnn.layers"),  # final.layer is a setting
        ("network.cross.layer", "network.cross.layers"),
        ("network.decay", "network.fit.decay"),  # nothing like it is beside it
        ("network.fit.lr", "network.fit.learning_rate"),
    ],
)
def test_a_key_of_the_section_that_was_typed_goes_first(typed, nearest):
    assert near_key(typed, KEYS) == f", did you mean {nearest!r}?"


def test_of_parts_that_have_the_setting_the_one_that_was_typed_is_meant():
    known = ["autoint.sam.layers", "autoint.autoint.layers", "autoint.cross.layers"]
    assert near_key("autoint.layers", known) == ", did you mean 'autoint.autoint.layers'?"
    assert near_key("autoint.autoint.layer", [*known, "autoint.final.layer"]) == (
        ", did you mean 'autoint.autoint.layers'?"
    )


def test_what_there_is_is_listed_once():
    problems = ["a; there are x, y", "b; there are x, y", "c; there are z", "a; there are x, y"]
    assert without_repeats(problems) == ["a; there are x, y", "b", "c; there are z"]


@pytest.mark.parametrize("typed", [["models=foo,bar"], ["qin.foo=1", "din.bar=2"]])
def test_two_unknown_names_list_what_there_is_once(typed):
    with pytest.raises(InputError) as error:
        load("sample", typed)
    assert str(error.value).count("there are") == 1
    assert all(name in str(error.value).partition(":")[2] for name in ("foo", "bar"))
