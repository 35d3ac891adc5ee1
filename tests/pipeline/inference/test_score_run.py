"""90_score --run: what was submitted scores new rows."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cv.blenders.registry import BLENDERS_BY_NAME
from features import table
from features.errors import InputError
from pipeline import graph
from pipeline.blending import blenders
from pipeline.config import load as load_config
from pipeline.inference import score_run, submitted
from tests.helpers.scoring import of_run, run
from tests.helpers.tiny_runs import run_stages


@pytest.fixture(scope="module")
def settings(first_run, overrides):
    return load_config.load("sample", overrides)


@pytest.fixture(scope="module")
def submission(settings):
    return graph.submission(settings).path


@pytest.fixture(scope="module")
def test_rows(settings):
    return graph.challenge_files(settings)["test"]


@pytest.fixture
def copied(submission):
    """A copy beside the submission, which a test may change."""
    copy = submission.with_name("research-copied")
    yield shutil.copytree(submission, copy)
    shutil.rmtree(copy)


@pytest.fixture
def submit(monkeypatch):
    """Makes a blender the submitted one."""
    read_json = submitted.read_json

    def call(blender: str) -> None:
        changed = {"blend.json": {"chosen": blender}}
        monkeypatch.setattr(
            submitted, "read_json", lambda path: read_json(path) | changed.get(path.name, {})
        )

    return call


def scored(capsys, name, rows, out) -> pl.DataFrame:
    code, _, error = run(capsys, "--run", name, "--rows", rows, "--out", out)
    assert code == 0, error
    return pl.read_csv(out) if out.suffix == ".csv" else pl.read_parquet(out)


def test_the_test_rows_get_the_bytes_of_the_submission(capsys, submission, test_rows, tmp_path):
    scored(capsys, submission, test_rows, tmp_path / "scores.csv")
    written = (tmp_path / "scores.csv").read_bytes()
    assert written == (submission / "prediction.csv").read_bytes()


@pytest.mark.parametrize("name", ["rank_mean", "slate_logistic", "slate_mean"])
def test_every_kind_of_blender_scores_the_test_rows_as_60_blend_did(
    settings, submission, test_rows, submit, name
):
    """A submission is the score of one blender; test.parquet has those of all."""
    blended = pl.read_parquet(graph.blend(settings).path / "test.parquet", glob=False)[name]
    submit(name)
    got = score_run.run(of_run(submission, test_rows))["Task2"].to_numpy()
    want = BLENDERS_BY_NAME[name].to_probability(blended.to_numpy())
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["features_only", "lightgbm", "slate_ranker", "slate_mean"])
def test_a_stacker_of_other_columns_than_this_code_makes_is_refused(
    submission, test_rows, submit, monkeypatch, name
):
    """LightGBM itself knows only how many there are."""
    submit(name)
    ours = table.names()
    for changed, differ in (([*ours[1:], "h_other"], "h_length, h_other"), (ours[::-1], "their")):
        monkeypatch.setattr(table, "names", lambda changed=changed: changed)
        with pytest.raises(InputError, match=rf"other columns .* \({differ}.*\): run it again"):
            score_run.run(of_run(submission, test_rows))


def test_the_table_of_a_fold_is_made_when_a_stacker_reads_it(
    submission, test_rows, submit, monkeypatch
):
    submit("features_only")
    events, by_fold, inputs = [], table.by_fold, blenders.inputs

    def made(*arguments):
        for rows in by_fold(*arguments):
            events.append("made")
            yield rows

    def read(*arguments):
        events.append("read")
        return inputs(*arguments)

    monkeypatch.setattr(table, "by_fold", made)
    monkeypatch.setattr(blenders, "inputs", read)
    score_run.run(of_run(submission, test_rows))
    assert events == ["made", "read"] * 2


def test_another_device_than_that_of_the_fits_is_noted(
    submission, test_rows, submit, monkeypatch, capsys
):
    submit("best_single")
    on_gpu = {"report": {"device": "cuda:0", "threads": 1}, "settings": {"network": {}}}
    with monkeypatch.context() as patched:
        patched.setattr(score_run, "record", lambda path: on_gpu)
        score_run.run(of_run(submission, test_rows))
    assert "the fits were made on cuda; on cpu the last digits" in capsys.readouterr().out
    score_run.run(of_run(submission, test_rows))
    assert "note" not in capsys.readouterr().out


def test_users_that_networks_have_no_place_for_are_refused(
    submission, test_rows, submit, monkeypatch, tmp_path
):
    submit("best_single")
    path = tmp_path / "rows.parquet"
    pl.read_parquet(test_rows, glob=False).with_columns(user_id=pl.lit(2**30)).write_parquet(path)
    score_run.run(of_run(submission, path))
    reads_users = {"report": {"device": "cpu"}, "settings": {"network": {"user_id": True}}}
    monkeypatch.setattr(score_run, "record", lambda path: reads_users)
    with pytest.raises(InputError, match=r"user_id: found 1073741824 in row 0, .* expected 0\.\."):
        score_run.run(of_run(submission, path))


def test_a_strict_run_is_one_fit(capsys, first_run, overrides, test_rows, tmp_path):
    strict = [word for word in overrides if not word.startswith("folds.")]
    strict += ["rules=strict", "models=din", "network.fit.max_epochs=1"]
    run_stages(strict, "20_folds", "50_train", "60_blend", "70_submit")
    folder = graph.submission(load_config.load("sample", strict)).path
    scored(capsys, folder, test_rows, tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_bytes() == (folder / "prediction.csv").read_bytes()


def test_rows_in_another_order_and_rows_of_valid_are_scored(
    capsys, settings, submission, test_rows, tmp_path
):
    rows = pl.read_parquet(test_rows, glob=False)
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1)
    shuffled.write_parquet(tmp_path / "rows.parquet")
    got = scored(capsys, submission, tmp_path / "rows.parquet", tmp_path / "scores.parquet")
    assert got.schema == {"ID": pl.Int64, "Task2": pl.Float64}
    assert got["ID"].equals(shuffled["ID"])
    want = pl.read_csv(submission / "prediction.csv", glob=False)
    joined = got.join(want, on="ID", maintain_order="left")
    np.testing.assert_allclose(joined["Task2"], joined["Task2_right"], atol=1e-6)
    valid = scored(
        capsys, submission, graph.challenge_files(settings)["valid"], tmp_path / "valid.parquet"
    )
    blended = pl.read_parquet(graph.blend(settings).path / "valid.parquet", glob=False)
    np.testing.assert_array_equal(valid["Task2"], blended["probability"])


def test_slates_that_lack_rows_are_refused_where_rows_are_compared(
    submission, test_rows, submit, tmp_path
):
    submit("slate_logistic")
    rows, path = pl.read_parquet(test_rows, glob=False), tmp_path / "rows.parquet"
    rows[1:].write_parquet(path)
    user, n = rows["user_id"][0], (rows["user_id"] == rows["user_id"][0]).sum()
    with pytest.raises(InputError) as refused:
        score_run.run(of_run(submission, path))
    first = f"1 of {rows['user_id'].n_unique()} slates are not whole, such as that of"
    assert f"{first} user {user}: {n - 1} of the {n} rows" in str(refused.value)
    submit("logistic")
    score_run.run(of_run(submission, path))  # scores each row by itself
    submit("slate_logistic")
    alone = rows.unique("user_id", keep="first", maintain_order=True)
    new_users = alone.with_columns(pl.col("user_id") + 10_000_000)
    new_users.write_parquet(path)
    with pytest.raises(InputError, match="1 rows, and no train slate of the run less than"):
        score_run.run(of_run(submission, path))


def refused(capsys, folder, rows, tmp_path) -> str:
    code, _, error = run(capsys, "--run", folder, "--rows", rows, "--out", tmp_path / "out.csv")
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("error: ") == 1
    assert not (tmp_path / "out.csv").exists()
    return error


def edit(folder: Path, **changes) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_run_that_cannot_score_new_rows_says_why(
    capsys, settings, submission, copied, test_rows, tmp_path
):
    edit(copied, external={"file": "theirs.csv"})
    assert "mixed theirs.csv into its scores" in refused(capsys, copied, test_rows, tmp_path)
    edit(copied, external=None, artifacts=None)
    error = refused(capsys, copied, test_rows, tmp_path)
    assert "write it again: python -m pipeline.70_submit sample data.users=300" in error
    assert error.endswith("--force\n")
    artifacts = json.loads((submission / "manifest.json").read_text())["artifacts"]
    edit(copied, artifacts=artifacts | {"store": "../gone"})
    error = refused(capsys, copied, test_rows, tmp_path)
    assert "gone is missing, which" in error
    assert "make it again: ./run_all.sh sample data.users=300" in error
    other = json.loads((graph.folds(settings).path / "artifact.json").read_text())
    assert other["digest"] != json.loads((graph.store(settings).path / "artifact.json").read_text())
    edit(copied, artifacts=artifacts | {"store": artifacts["folds"]})
    assert "has other bytes than when" in refused(capsys, copied, test_rows, tmp_path)
    assert "no run 'nothing-like-it'" in refused(capsys, "nothing-like-it", test_rows, tmp_path)


def test_nothing_is_written_into_a_run(capsys, settings, submission, test_rows):
    for folder in (submission, graph.store(settings).path, graph.blend(settings).path):
        out = folder / "test.parquet"
        before = out.read_bytes() if out.exists() else None
        code, _, error = run(capsys, "--run", submission, "--rows", test_rows, "--out", out)
        assert code == 2
        assert f"--out {out} is {folder}, or a part of it, which is read" in error
        assert (out.read_bytes() if out.exists() else None) == before


def test_items_that_the_run_does_not_know_are_refused(capsys, submission, test_rows, tmp_path):
    rows = pl.read_parquet(test_rows, glob=False)
    for bad in (-1, 0, 201):
        changed = rows.with_columns(item_id=pl.lit(bad, pl.Int64))
        changed.write_parquet(tmp_path / "rows.parquet")
        error = refused(capsys, submission, tmp_path / "rows.parquet", tmp_path)
        assert f"item_id: found {bad} in row 0" in error
    rows.drop("user_id").write_parquet(tmp_path / "rows.parquet")
    assert "user_id" in refused(capsys, submission, tmp_path / "rows.parquet", tmp_path)
