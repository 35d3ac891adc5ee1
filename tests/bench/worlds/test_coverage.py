"""bench.worlds.coverage: a world through the pipeline, and the table."""

from bench.worlds import coverage
from tests.helpers.tiny_runs import TINY


def test_a_world_has_a_forecast_and_a_hidden_auc(tmp_path):
    overrides = [word for word in TINY if not word.startswith("folds.")]
    s = coverage.settings_of(3, "strict", str(tmp_path), [*overrides, "network.fit.max_epochs=1"])
    assert (s.data.seed, s.rules, s.train.seeds) == (3, "strict", (3,))
    found = coverage.world(s)
    assert list(found) == ["auc", "low", "high", "hidden"]
    assert 0 <= found["low"] < found["auc"] < found["high"] <= 1
    assert coverage.world(s) == found


def test_worlds_outside_their_interval_are_counted_by_side():
    rows = [
        {"auc": 0.8, "low": 0.7, "high": 0.9, "hidden": hidden} for hidden in (0.6, 0.7, 0.95, 0.95)
    ]
    assert coverage.summary(rows) == [4, 1, "25.0%", 1, 2, "0.2000", "0.8000"]
    assert coverage.line("a", rows[0]).endswith("0.8000 (0.7000 to 0.9000) MISSED")
    assert coverage.line("a", rows[1]).endswith("0.8000 (0.7000 to 0.9000)")
    assert len(coverage.COLUMNS) == 1 + len(coverage.summary(rows))
