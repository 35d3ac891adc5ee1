"""bench.ablation: rows, resuming, printing."""

import numpy as np
import pytest

from bench.ablation import TABLES, AblationRow, main, markdown
from bench.tools.output import mean_and_sd
from bench.tools.trained import SeedScores
from pipeline.config import load as load_config
from tests.helpers.tiny_runs import TINY, run

ROWS = [row for table in TABLES.values() for row in table]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_any_profile_can_train_every_row(row):
    for profile in ("sample", "microlens_release"):
        s = load_config.load(profile, [*row.overrides, f"models={row.model}"])
        assert list(s.networks) == [row.model]


def test_rows_of_a_table_differ():
    for table in TABLES.values():
        settings = [load_config.load("sample", [*r.overrides, f"models={r.model}"]) for r in table]
        assert len({(s.prepare, *s.networks.values()) for s in settings}) == len(table)


def test_a_table_has_mean_sd_and_the_paired_difference():
    label, user = np.array([0, 1, 1, 0]), np.array([1, 1, 2, 2])
    right = np.array([[0.0, 1, 1, 0]] * 2).T[:, :, None]
    wrong = np.array([[0.0, 1, 1, 0], [1.0, 0, 0, 1]]).T[:, :, None]
    table = {
        AblationRow("A", "qin", published=0.5): SeedScores(
            [0.8, 0.9], [0.7, 0.7], 4.0, right, label, user
        ),
        AblationRow("B", "din"): SeedScores([0.7, 0.7], [0.6, 0.7], 5.5, wrong, label, user),
    }
    head, rule, a, b, _, covers = markdown(table)
    assert head.count("|") == rule.count("|") == a.count("|") == b.count("|")
    assert a == "| A | 0.5000 | 0.85000 ± 0.07071 | — | 0.70000 ± 0.00000 | — | — | 4.0 |"
    assert "| B | — | 0.70000 ± 0.00000 | -0.15000 ± 0.07071 | 0.65000 ± 0.07071 |" in b
    low, high = b.split("| ")[7].split(" to ")
    assert float(low) < -1 < 0 < float(high)  # two seeds that differ by 0 and -1: nothing is known
    assert b.endswith("| 5.5 |")
    assert covers == "95 %: users and 2 paired seeds"


def test_a_table_of_one_seed_leaves_training_noise_out_and_says_so():
    label, user = np.array([0, 1, 1, 0]), np.array([1, 1, 2, 2])
    logits = np.array([0.0, 1, 1, 0])[:, None, None]
    of = SeedScores([0.8], [0.7], 4.0, logits, label, user)
    other = SeedScores([0.8], [0.7], 4.0, 1 - logits, label, user)
    *_, row, _, covers = markdown({AblationRow("A", "qin"): of, AblationRow("B", "din"): other})
    assert "| -1.00000 to -1.00000 |" in row
    assert covers == "95 %: users; training noise is left out"


def test_one_value_has_no_standard_deviation():
    assert mean_and_sd([0.5], 3) == "0.500"
    assert mean_and_sd([0.5, 0.7], 2, "+") == "+0.60 ± 0.14"


def test_it_trains_missing_fits_once_and_prints(tmp_path):
    command = ["bench.ablation", "sample", *TINY, f"artifacts={tmp_path}", "network.max_len=8"]
    options = ["--tables", "final", "--seeds", "0,1", "--folds", "1"]
    first = run(*command, *options, shell=False)
    assert "50_train 10 fits" in first
    assert first.count("| 2B + KD |") == 1
    again = run(*command, *options, shell=False)
    assert "fits on" not in again
    assert again.count(" is up to date") == 10
    assert again.strip().splitlines()[-9:] == first.strip().splitlines()[-9:]
    assert again.strip().endswith("95 %: users and 2 paired seeds")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tables", "qnn"], "no 'qnn'; there are qin"),
        (["--folds", "7"], "--folds 7: there are 0, 1"),
        (["--folds", "x"], "--folds x: there are 0, 1"),
        (["--seeds", "a"], "train.seeds: 'a' must be a whole number"),
        (["models=qin"], "models=qin: the tables set models; use --tables"),
        (["train.seeds=1"], "train.seeds=1: the tables set train.seeds; use --seeds"),
        (["folds.mode=official"], "one AUC would both choose the epoch and be reported"),
    ],
)
def test_bad_options_are_refused_in_one_line(tmp_path, options, message, capsys):
    tiny = [word for word in TINY if "folds.mode=official" not in options or "folds." not in word]
    assert main(["sample", *tiny, f"artifacts={tmp_path}", *options]) == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
