"""The probe of slates: exactly one click in each is found, independent labels are not."""

import numpy as np
import pytest

from features.store.store import Split
from pipeline.probes import slates
from pipeline.probes.measurement import findings
from pipeline.probes.samples import Sample


def split(sizes: np.ndarray, label: np.ndarray | None) -> Split:
    """Slates of `sizes` (S,) rows, two by two of one user, shuffled."""
    slate = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    order, zeros = np.random.default_rng(0).permutation(len(slate)), np.zeros(len(slate), np.int32)
    rows = Split(user=slate // 2, item=zeros, likes=zeros, views=zeros, history=slate, label=label)
    return rows.take(order)


def sample(sizes: np.ndarray, label: np.ndarray | None) -> Sample:
    made = split(sizes, label)
    return Sample(name="train", split=made, index=np.arange(len(made)))


def one_click(sizes: np.ndarray) -> np.ndarray:
    """The first row of each slate is its click."""
    label = np.zeros(sizes.sum(), np.uint8)
    label[np.cumsum(sizes) - sizes] = 1
    return label


FOURS = np.full(500, 4)


def test_one_click_in_each_slate_is_found_and_explained():
    (measured,) = slates.one_click(sample(FOURS, one_click(FOURS)))
    assert measured.measured.figure == 1
    assert measured.measured.threshold == pytest.approx(0.75**3 + slates.MARGIN)
    (finding,) = findings([measured])
    assert "scores compared within a slate say more than rows alone" in finding.as_text()
    assert "does not exist where rows are shown one by one" in finding.as_text()


def test_a_twentieth_of_broken_slates_hides_nothing():
    sizes, label = FOURS.copy(), one_click(FOURS)
    sizes[:12] = 5
    label = one_click(sizes)
    label[-4 * 12 :] = 0
    (measured,) = slates.one_click(sample(sizes, label))
    assert measured.measured.figure == 1 - 12 / 500
    assert findings([measured])
    described = slates.describe(sample(sizes, label))
    assert described["rows"] == {"4": 0.976, "5": 0.024}
    assert described["clicks"] == {"1": 0.976, "0": 0.024}


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_independent_labels_are_no_finding(rate):
    label = (np.random.default_rng(0).random(FOURS.sum()) < rate).astype(np.uint8)
    (measured,) = slates.one_click(sample(FOURS, label))
    assert not measured.measured.crossed


def test_rows_shown_one_by_one_are_not_measured():
    ones = np.ones(50, np.int64)
    assert list(slates.one_click(sample(ones, one_click(ones)))) == []


def test_sizes_are_said_of_a_test_too_and_rare_ones_are_summed_up():
    sizes = np.repeat(np.arange(1, 8), [9, 8, 7, 6, 5, 4, 1])
    described = slates.describe(sample(sizes, None))
    assert list(described) == ["slates", "rows"]
    assert list(described["rows"]) == ["1", "2", "3", "4", "5", "other"]
    assert described["rows"]["other"] == 0.125
    assert slates.as_text({"test": described}).startswith(
        "test, 40 slates; rows: 1 in 22.5 %, 2 in 20.0 %"
    )
    four = {"slates": 8000, "rows": {"4": 1.0}, "clicks": {"1": 0.7, "0": 0.3}}
    assert slates.as_text({"train": four}) == (
        "train, 8,000 slates; rows: 4 in each; clicks: 1 in 70.0 %, 0 in 30.0 %"
    )
