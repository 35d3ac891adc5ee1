"""bench.compare on small blends."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from bench import compare


@pytest.fixture
def blends(tmp_path, monkeypatch) -> list[Path]:
    """Folders of 60_blend: two on the same eight rows of four users, one with other labels."""
    users = SimpleNamespace(valid=SimpleNamespace(user=np.arange(8) // 2))
    monkeypatch.setattr(compare, "open_store", lambda folder: users)
    scores = {"a": [1.0, 2, 3, 4, 5, 6, 7, 8], "b": [8.0, 7, 6, 5, 4, 3, 2, 1]}
    for name, column in (("before", "b"), ("after", "a"), ("other", "a")):
        label = [0, 1] * 4 if name != "other" else [1, 0] * 4
        table = {"row_id": range(8), "user_id": users.valid.user, "label": label}
        table |= {"qin": scores[column], "probability": 0.5}
        (tmp_path / name).mkdir()
        pl.DataFrame(table).write_parquet(tmp_path / name / "valid.parquet")
    return [tmp_path / name for name in ("before", "after", "other")]


def test_two_blends_are_compared_row_by_row(blends, capsys):
    before, after, _ = map(str, blends)
    assert compare.main(["store", before, after]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| qin | 0.62500 | 0.37500 | +0.25000 | +")
    assert compare.main(["store", after, after]) == 0
    assert "| +0.00000 | +0.00000 to +0.00000 |" in capsys.readouterr().out


def test_other_rows_and_other_folders_are_refused(blends, capsys):
    before, _, other = map(str, blends)
    assert compare.main(["store", before, other]) == 2
    assert "score different rows" in capsys.readouterr().err
    assert compare.main(["store", before, str(blends[0].parent)]) == 2
    assert "is no folder of 60_blend" in capsys.readouterr().err
