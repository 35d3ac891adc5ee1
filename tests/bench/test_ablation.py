"""The ablation bench: rows, resuming, printing."""

import numpy as np
import pytest

from bench.ablation import TABLES, Measured, Row, markdown
from bench.tables import spread
from pipeline.config import load as load_config
from tests.test_run_all import TINY, run

ROWS = [row for table in TABLES.values() for row in table]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_every_row_is_a_network_of_its_own_that_any_profile_can_train(row):
    for profile in ("sample", "microlens_release"):
        s = load_config.load(profile, [*row.words, f"models={row.model}"])
        assert list(s.networks) == [row.model]


def test_rows_of_a_table_differ():
    for table in TABLES.values():
        made = [load_config.load("sample", [*r.words, f"models={r.model}"]) for r in table]
        assert len({(s.prepare, *s.networks.values()) for s in made}) == len(table)


def test_a_table_says_mean_sd_and_the_paired_difference():
    label, user = np.array([0, 1, 1, 0]), np.array([1, 1, 2, 2])
    right, wrong = np.array([[0.0, 1, 1, 0]] * 2).T, np.array([[0.0, 1, 1, 0], [1.0, 0, 0, 1]]).T
    table = {
        Row("A", "qin", published=0.5): Measured([0.8, 0.9], [0.7, 0.7], 4.0, right, label, user),
        Row("B", "din"): Measured([0.7, 0.7], [0.6, 0.7], 5.5, wrong, label, user),
    }
    head, rule, a, b = markdown(table)
    assert head.count("|") == rule.count("|") == a.count("|") == b.count("|")
    assert a == "| A | 0.5000 | 0.85000 ± 0.07071 | — | 0.70000 ± 0.00000 | — | — | 4.0 |"
    assert "| B | — | 0.70000 ± 0.00000 | -0.15000 ± 0.07071 | 0.65000 ± 0.07071 |" in b
    assert b.endswith("| -0.05000 ± 0.07071 | -0.50000 to -0.50000 | 5.5 |")


def test_the_spread_of_one_value_is_the_value():
    assert spread([0.5], 3) == "0.500"
    assert spread([0.5, 0.7], 2, "+") == "+0.60 ± 0.14"


def test_it_trains_what_is_missing_prints_and_does_nothing_twice(tmp_path):
    words = ["bench.ablation", "sample", *TINY, f"artifacts={tmp_path}", "network.max_len=8"]
    options = ["--tables", "final", "--seeds", "0,1", "--folds", "1"]
    first = run(*words, *options, shell=False)
    assert "50_train 6 fits" in first
    assert first.count("| 2B + KD |") == 1
    again = run(*words, *options, shell=False)
    assert "fits on" not in again
    assert again.count(" is up to date") == 6
    assert again.strip().splitlines()[-5:] == first.strip().splitlines()[-5:]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tables", "qnn"], "no 'qnn'; there are qin"),
        (["--folds", "7"], "--folds 7: there are 0, 1"),
        (["--folds", "x"], "--folds x: there are 0, 1"),
        (["--seeds", "a"], "train.seeds: 'a' must be a whole number"),
        (["models=qin"], "models=qin: the tables name their own models; see --tables"),
        (["train.seeds=1"], "the tables name their own train.seeds; see --seeds"),
        (["folds.mode=official"], "one AUC would both choose the epoch and be reported"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, options, said):
    words = ["bench.ablation", "sample", *TINY, f"artifacts={tmp_path}"]
    words = [w for w in words if "folds.mode=official" not in options or "folds." not in w]
    output = run(*words, *options, code=2, shell=False)
    assert said in output
    assert not (tmp_path / "sample" / "50_train").exists()
