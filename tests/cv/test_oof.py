"""Out-of-fold predictions: every row once, or a refusal that counts the bad rows."""

import numpy as np
import polars as pl
import pytest

from cv.oof import assemble

ROW_IDS = np.array([5, 3, 9, 1])


def part(row_id, logit, dtype=pl.Float64):
    return pl.DataFrame(
        {"row_id": row_id, "logit": logit}, schema={"row_id": pl.Int64, "logit": dtype}
    )


def test_every_row_once_in_the_order_asked_for():
    got = assemble([part([9, 5], [0.9, 0.5]), part([1, 3], [0.1, 0.3])], ROW_IDS)
    assert got.equals(part([5, 3, 9, 1], [0.5, 0.3, 0.9, 0.1]))


def test_float32_stays_float32_and_mixes_with_float64():
    single = part([9, 5], [0.9, 0.5], pl.Float32)
    assert assemble([single], np.array([5, 9]))["logit"].dtype == pl.Float32
    assert assemble([single, part([1, 3], [0.1, 0.3])], ROW_IDS)["logit"].dtype == pl.Float64


def test_other_columns_of_the_parts_are_dropped():
    parts = [part([9, 5, 1, 3], [0.0] * 4).with_columns(fold=0)]
    assert assemble(parts, ROW_IDS).columns == ["row_id", "logit"]


@pytest.mark.parametrize(
    ("row_id", "logit", "message"),
    [
        ([5, 3, 9], [0.1, 0.2, 0.3], r"1 missing \(row_id \[1\]\)"),
        ([], [], r"4 missing \(row_id \[1, 3, 5, 9\]\)"),
        ([5, 3, 9, 1, 3], [0.1, 0.2, 0.3, 0.4, 0.2], r"1 doubled \(row_id \[3\]\)"),
        ([5, 3, 9, 1, 7], [0.1, 0.2, 0.3, 0.4, 0.2], r"1 unknown \(row_id \[7\]\)"),
        ([5, 3, 9, 1], [0.1, np.nan, 0.3, 0.4], r"1 NaN \(row_id \[3\]\)"),
        ([5, 3, 9, 1], [0.1, None, 0.3, np.inf], r"2 NaN \(row_id \[1, 3\]\)"),
        ([5, 5, 7], [0.1, 0.1, np.nan], "3 missing .* 1 doubled .* 1 unknown .* 1 NaN"),
    ],
)
def test_refuses(row_id, logit, message):
    with pytest.raises(ValueError, match=message):
        assemble([part(row_id[:2], logit[:2]), part(row_id[2:], logit[2:])], ROW_IDS)
