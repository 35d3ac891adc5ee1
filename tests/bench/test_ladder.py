"""bench.ladder: rungs, worlds, tables, hidden labels, resuming."""

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.ladder import rungs, tables, worlds
from bench.ladder.__main__ import main
from bench.ladder.rungs import LADDER, Rung
from bench.tools.trained import SeedScores
from features.errors import InputError
from pipeline.config import load as load_config
from pipeline.config.networks import paper_settings

BY_LABEL = {rung.label: rung for rung in LADDER}
SMALL = (
    Rung("first", "1", "qin", ("qin.max_len=1",)),
    Rung("a", "2", "qin", ("qin.max_len=2",), kept=True),
    Rung("of another", "3", "din", ("din.max_len=3",), kept=True),
    Rung("b", "4", "qin", ("qin.max_len=4", "prepare.codes=3")),
    Rung("c", "5", "qin", ("qin.asta.width=5",), kept=True),
    Rung("d", "6", "qin", ("qin.max_len=6",)),
)


def network(rung, profile):
    s = load_config.load(profile, [*rungs.overrides(rung), f"models={rung.network}"])
    return s.prepare, s.networks[rung.network]


@pytest.mark.parametrize("profile", ["sample", "microlens_release"])
def test_every_rung_can_be_trained_and_changes_something(profile):
    assert len(BY_LABEL) == len(LADDER)
    same = []
    for rung in LADDER:
        before = rungs.base(rung)
        if before is not None and network(rung, profile) == network(before, profile):
            same.append(rung.label)
    at_it_already = {"sample": {"l2_strong"}, "microlens_release": set()}[profile]
    assert {label.partition("/")[2] for label in same} <= at_it_already | {"batch512"}


@pytest.mark.parametrize("model", ["din", "qin"])
def test_a_published_rung_is_what_the_paper_has_whatever_the_profile(model):
    want = paper_settings(model)
    if model == "qin":
        want = replace(want, qnn=replace(want.qnn, bank="full"))
        want = replace(want, fit=replace(want.fit, precision="float32"))
    for profile in ("sample", "microlens_release", "microlens_1m"):
        _, found = network(BY_LABEL[f"{model}/published"], profile)
        assert [k for k in found.__slots__ if found.reads(k)] == [
            k for k in want.__slots__ if want.reads(k) and getattr(found, k) == getattr(want, k)
        ]


def test_a_rung_adds_to_the_kept_ones_before_it():
    first, a, _, b, c, d = SMALL
    assert [rungs.base(rung, SMALL) for rung in SMALL] == [None, first, None, a, a, c]
    assert rungs.overrides(b, SMALL) == ("qin.max_len=4", "prepare.codes=3")
    assert rungs.overrides(c, SMALL) == ("qin.max_len=2", "qin.asta.width=5")
    assert rungs.overrides(d, SMALL) == ("qin.max_len=6", "qin.asta.width=5")


def test_rungs_are_chosen_by_network_or_one_by_one():
    assert rungs.chosen("", SMALL) == list(SMALL)
    assert [rung.name for rung in rungs.chosen("qin/d,din", SMALL)] == ["of another", "d"]
    with pytest.raises(InputError, match=r"--rungs: no 'qin/e'.*; there are qin, din, qin/first, "):
        rungs.chosen("din,qin/e", SMALL)


OPTIONS = Namespace(microlens="ml", instruments="")


def test_a_world_is_named_or_typed_and_other_words_are_for_all_worlds():
    words = ["mixed", "train.workers=1", "x=sample,data.seed=3,qin.mlp.hidden=4,2", "artifacts=a"]
    found, typed = worlds.read(words, OPTIONS)
    assert [world.name for world in found] == ["mixed", "x"]
    assert found[0].overrides == ("data.dir=ml", "data.negatives=mixed")
    assert found[1] == ("x", "sample", ("data.seed=3", "qin.mlp.hidden=4,2"))
    assert typed == ["train.workers=1", "artifacts=a"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["musik"], "no world 'musik'; there are sample, popularity"),
        (["instruments"], "world instruments: add --instruments FOLDER"),
        (["artifacts=a"], r"got the worlds \[\], expected one or more"),
        (["a=sample", "a=sample"], r"got the worlds \['a', 'a'\], expected one or more of diff"),
    ],
)
def test_other_worlds_are_refused(words, message):
    with pytest.raises(InputError, match=message):
        worlds.read(words, OPTIONS)


LABEL, USER = np.array([0, 1, 1, 0]), np.array([1, 1, 2, 2])
RIGHT, WRONG = (np.array(of, float)[:, None, None] for of in ([0, 1, 1, 0], [1, 0, 0, 1]))


def result(auc, logits, **changed):
    scores = SeedScores([auc], [auc], 4.0, logits, LABEL, USER)
    return tables.RungResult(**{"scores": scores, "within": None, "seconds": 7.4} | changed)


def test_a_table_has_the_differences_to_the_rung_before_and_to_the_first():
    chosen = [BY_LABEL[f"qin/{name}"] for name in ("profile", "silu", "softmax", "position")]
    results = {
        rung: result(auc, logits, parameters=1234, within=[0.5], hidden=[0.25])
        for rung, auc, logits in zip(
            chosen, (0, 1, 1, 0), (WRONG, RIGHT, RIGHT, WRONG), strict=True
        )
    }
    head, _, start, silu, softmax, position, _, *notes = tables.markdown(results, True, "looked")
    assert {line.count("|") for line in (head, start, silu)} == {13}
    assert start.endswith("| kept | 0.00000 | — | — | 0.50000 | 4.0 | 7 | 1,234 | 0.25000 | — |")
    gain = "+1.00000, +1.00000 to +1.00000"
    assert f"| dropped | 1.00000 | {gain} | {gain} |" in silu
    assert f"| kept | 1.00000 | {gain} | {gain} |" in softmax  # not to the dropped one before it
    assert "| dropped | 0.00000 | — | +0.00000, +0.00000 to +0.00000 |" in position  # no prefixes
    assert notes[0].startswith("Official split: valid also chose the epoch of every fit, in all")
    assert notes[2:] == ["95 %: users; training noise is left out.", "looked"]
    head, *_, note, _ = tables.markdown({chosen[0]: results[chosen[0]]}, False, "")
    assert "hidden" not in head
    assert note.startswith("Folds: a seed's AUC is the mean of its fits")


def test_within_slates_the_clicked_row_of_a_slate_is_compared_with_the_others():
    label = np.array([1, 0, 1, 0])
    logits = np.array([1.0, 0.0, 9.0, 8.5])[:, None, None]  # between slates, the order is wrong
    assert tables._within(label, logits, np.array([0, 0, 1, 1])) == [1.0]
    assert tables._within(label, logits, np.arange(4)) is None


RUNGS = ["--rungs", "din/profile,din/softmax", "--seeds", "0,1"]


def test_it_trains_missing_fits_once_counts_looks_and_ends_with_one_line(
    first_run, overrides, capfd
):
    command = ["sample", *(o for o in overrides if not o.startswith("folds.")), "train.workers=1"]
    artifacts = Path(next(o for o in overrides if o.startswith("artifacts=")).partition("=")[2])
    before = {*artifacts.glob("sample/50_train/*")}
    assert main([*command, *RUNGS, "--hidden"]) == 0
    first = capfd.readouterr().out
    assert "world 1 of 1, sample: 2 rungs, 4 of 4 fits to train\n50_train 4 fits" in first
    assert "| din/softmax | softmax over the history | dropped |" in first
    assert "Look 1 at the hidden labels of sample-" in first
    last = first.strip().splitlines()[-1]
    assert last.startswith("ladder done: worlds=1 rungs=2 fits=4 trained=4 (")
    assert main([*command, *RUNGS, "--hidden"]) == 0
    again = capfd.readouterr().out
    assert "fits=4 trained=0 (" in again
    table = [line for line in first.splitlines() if line.startswith("|")]
    assert [line for line in again.splitlines() if line.startswith("|")] == table
    (looks,) = json.loads((artifacts / "sample/hidden_looks.json").read_text()).values()
    assert looks == 2
    names = sorted(path.name[:18] for path in {*artifacts.glob("sample/50_train/*")} - before)
    assert names == ["din-seed0-official"] * 2 + ["din-seed1-official"] * 2
    assert main([*command, *RUNGS]) == 0
    assert "hidden" not in capfd.readouterr().out
    assert json.loads((artifacts / "sample/hidden_looks.json").read_text()).popitem()[1] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["models=qin"], "models=qin: the ladder sets models; use --rungs"),
        (["folds.mode=kfold"], "folds.mode=kfold: the ladder sets folds.mode; use --folds"),
        (["--seeds", "a"], "train.seeds: 'a' must be a whole number"),
        (["--folds", "9"], "sample, rung din/profile: --folds 9: there are 0, 1, 2, 3, 4"),
        (["x=challenge,data.dir=y", "--hidden"], "--hidden: world x has no hidden labels"),
    ],
)
def test_bad_options_are_refused_in_one_line(tmp_path, options, message, capsys):
    command = ["sample", "--rungs", "din/profile", f"artifacts={tmp_path}"]
    assert main([*command, *options]) == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
