"""bench.compare on small blends."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench import compare


@pytest.fixture
def blends(tmp_path) -> list[Path]:
    """Folders of 60_blend: two on the same eight rows of four users, one with other labels."""
    scores = {"a": [1.0, 2, 3, 4, 5, 6, 7, 8], "b": [8.0, 7, 6, 5, 4, 3, 2, 1]}
    for name, column in (("before", "b"), ("after", "a"), ("other", "a")):
        label = [0, 1] * 4 if name != "other" else [1, 0] * 4
        table = {"row_id": range(8), "user_id": np.arange(8) // 2, "label": label}
        table |= {"qin": scores[column], "probability": 0.5}
        (tmp_path / name).mkdir()
        pl.DataFrame(table).write_parquet(tmp_path / name / "valid.parquet")
    return [tmp_path / name for name in ("before", "after", "other")]


def test_two_blends_are_compared_row_by_row(blends, capsys):
    before, after, _ = map(str, blends)
    assert compare.main([before, after]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| qin | 0.62500 | 0.37500 | +0.25000 | +")
    assert compare.main([after, after]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.endswith("| +0.00000 to +0.00000 | users; training noise is left out |")


@pytest.mark.parametrize(
    ("seeds", "covers"),
    [((0, 1), "users and 2 paired seeds"), ((2, 3, 4), "users and 3 and 2 seeds")],
)
def test_runs_of_several_seeds_are_compared_over_users_and_seeds(blends, capsys, seeds, covers):
    before, after, _ = blends
    for folder, numbers in ((before, (0, 1)), (after, seeds)):
        table = pl.read_parquet(folder / "valid.parquet")
        columns = {f"qin-seed{n}": table["qin"] + n * (-1) ** pl.Series(range(8)) for n in numbers}
        table.with_columns(**columns).write_parquet(folder / "valid.parquet")
    assert compare.main([str(before), str(after)]) == 0
    _, whole, one_seed = capsys.readouterr().out.splitlines()[2:]
    assert whole.startswith("| qin | 0.62500 | 0.37500 |")
    assert whole.endswith("| users; training noise is left out |")
    assert one_seed.startswith("| qin, one seed | ")
    assert one_seed.endswith(f"| {covers} |")


def test_of_runs_with_no_network_in_common_what_they_submit_is_compared(blends, capsys):
    before, after, _ = blends
    table = pl.read_parquet(after / "valid.parquet").rename({"qin": "din"})
    table.write_parquet(after / "valid.parquet")
    assert compare.main([str(before), str(after)]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("| submitted | 0.50000 | 0.50000 |")


def test_other_rows_and_other_folders_are_refused(blends, capsys):
    before, _, other = map(str, blends)
    assert compare.main([before, other]) == 2
    assert "score different rows" in capsys.readouterr().err
    assert compare.main([before, str(blends[0].parent)]) == 2
    assert "is no folder of 60_blend" in capsys.readouterr().err
