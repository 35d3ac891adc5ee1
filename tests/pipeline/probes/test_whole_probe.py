"""All of 15_probe on many worlds: every plant is named and nothing else, clean worlds are silent.

./run_tests.sh --long -k whole_probe
"""

import pytest

from features.sources import planted_leaks
from tests.helpers.planted_stores import names, probed, sample_store

pytestmark = pytest.mark.long
MEDIUM = {"users": 4000, "valid_users": 800, "test_users": 1000, "items": 1500}


@pytest.mark.parametrize("kind", planted_leaks.KINDS)
def test_a_plant_is_named_and_nothing_else(tmp_path, kind):
    assert names(probed(sample_store(tmp_path, plant=kind))) == [kind]


@pytest.mark.parametrize("size", [{}, MEDIUM], ids=["small", "medium"])
@pytest.mark.parametrize("seed", range(16))
def test_a_clean_world_has_no_findings(tmp_path, seed, size):
    assert names(probed(sample_store(tmp_path, seed=seed, **size))) == []


@pytest.mark.parametrize("slates", ["one_click", "broken"])
@pytest.mark.parametrize("seed", range(3))
def test_a_world_of_slates_has_no_other_finding(tmp_path, seed, slates):
    assert names(probed(sample_store(tmp_path, seed=seed, slates=slates))) == ["slate"]
