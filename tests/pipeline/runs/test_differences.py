"""Settings of runs, by their full key, from the records of their results."""

from pathlib import Path

from pipeline.runs import differences
from pipeline.runs.results import Result


def result(place: str, settings: dict, **more) -> Result:
    return Result(Path("artifacts/sample") / place, {"settings": settings, "inputs": {}} | more)


def stages(rate: float, *fits: dict, **blend) -> dict[str, list[Result]]:
    network = {"network": {"fit": {"learning_rate": rate}, "max_len": 8}, "fold": 0, "seed": 0}
    names = [f"50_train/din-seed{one.get('seed', 0)}-fold0-1" for one in fits or ({},)]
    trained = [
        result(name, network | one, commit="abc", versions={"torch": "2"})
        for name, one in zip(names, fits or ({},), strict=True)
    ]
    return {
        "00_data": [result("00_data/sample-1", {"users": 3})],
        "10_prepare": [result("10_prepare/store-1", {"codes": 0}, inputs={"train": "t"})],
        "20_folds": [result("20_folds/kfold2-1", {"n": 2})],
        "50_train": trained,
        "60_blend": [result("60_blend/blend-1", {"rules": "research", "slates": "auto"}, **blend)],
    }


def test_settings_have_the_keys_that_are_typed():
    found = differences.settings(stages(0.1, {"seed": 1}, {"seed": 0, "rows": "stream"}))
    assert found == {
        "data.source": "sample", "data.users": 3, "prepare.codes": 0, "folds.n": 2,
        "din.fit.learning_rate": 0.1, "din.max_len": 8, "train.seeds": [0, 1],
        "train.rows": "stream", "rules": "research", "blend.slates": "auto",
    }  # fmt: skip


def test_what_differs_is_listed_with_both_values():
    external = {"inputs": {"external": "0123456789ab"}}
    a, b = stages(0.1), stages(0.2, **external) | {"00_data": []}
    assert differences.differing(differences.settings(a), differences.settings(b)) == {
        "blend.external": ("-", "sha256 01234567"),
        "data.source": ("sample", "-"),
        "data.users": (3, "-"),
        "din.fit.learning_rate": (0.1, 0.2),
    }
    assert differences.files(a) == {"train": "t"}


def test_versions_and_commits_that_made_a_run_are_named_also_where_records_lack_them():
    found = differences.made_by(stages(0.1, commit="def"))
    assert found["commit"] == "abc, def"
    assert found["versions.torch"] == "-, 2"
    assert found["python"] == "-"


def test_records_of_older_versions_are_read_as_far_as_they_go():
    old = stages(0.1) | {"50_train": [result("50_train/din-seed0-fold0-1", {"lr": 0.1})]}
    found = differences.settings(old)
    assert (found["train.lr"], found["train.seeds"]) == (0.1, [])


def test_settings_of_a_network_that_one_run_lacks_are_left_out():
    a = {"models": ["din", "qin"], "qin.max_len": 8, "din.max_len": 8, "folds.n": 2}
    b = {"models": ["din"], "din.max_len": 9}
    found = differences.differing(*differences.of_both(a, b))
    assert found == {
        "models": (["din", "qin"], ["din"]),
        "din.max_len": (8, 9),
        "folds.n": (2, "-"),
    }
