"""The benchmark over fields on small files: its command, and what it refuses."""

import dataclasses
import gzip
import hashlib
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch

from bench.fields import __main__ as fields
from bench.fields.__main__ import main
from bench.fields.data.schema import find
from bench.fields.data.store import open_fields, unpublished_splits
from bench.fields.data.writing import stored
from pipeline.config.paths import REPOSITORY
from pipeline.runtime import devices
from pipeline.training.executors import local
from tests.helpers.field_runs import HEADER, OF, REST, lines, run

DATA = REPOSITORY.parent / "shared" / "data" / "frappe_x1"


def test_a_run_trains_and_scores_once(data, tmp_path, capfd):
    assert run(data, tmp_path / "out", "--models", "final_1b,lr,mlp,mlp_final") == 0
    first = capfd.readouterr().out
    assert "bench.fields: 4 of 4 fits to do" in first
    few = "so an epoch of final_1b, lr, mlp and 1 more has 1 step, too few to learn much"
    assert few in first.partition("fits to do")[0]
    assert "final_1b seed 1 epoch 1: valid auc 0." in first
    assert "Fits stopped after at most 1 epochs." in first
    assert "test is not known to be the published file" in first
    assert "Published figures are left out" in first
    assert "| MLP | " in first
    text = (tmp_path / "out/frappe_x1.md").read_text(encoding="utf-8")
    assert text in first
    assert "| final_1b | 0." in text
    assert "benchmark" not in text
    assert few in text
    assert (tmp_path / "out/frappe_x1.html").is_file()
    fits_of = tmp_path / "out/frappe_x1"
    folders = {path: path.stat().st_mtime_ns for path in fits_of.iterdir()}
    assert sorted(p.name.rpartition("-")[0] for p in folders) == [
        "final-seed1",
        "final-seed1",
        "first_order-seed1",
        "mlp-seed1",
        "store",
    ]
    assert run(data, tmp_path / "out", "--models", "final_1b,lr,mlp,mlp_final") == 0
    again = capfd.readouterr().out
    assert "0 of 4 fits to do" in again
    assert again.partition("\n\n")[2] == first.partition("\n\n")[2]
    assert folders == {p: p.stat().st_mtime_ns for p in fits_of.iterdir()}


def test_published_figures_are_shown_beside_scores_of_the_published_test(data, tmp_path, capfd):
    md5 = hashlib.md5(gzip.decompress((data / "test.csv.gz").read_bytes())).hexdigest()
    path = tmp_path / "own_x1.toml"
    columns = '[data]\nlabel = "label"\ncategorical = ["user", "item"]\nnumeric = ["daytime"]\n'
    section = "[lr]\nfit.batch_size = 16\npublished = { auc = 0.75 }\n"
    known = f'scale = "standard"\nmd5.test = "{md5}"\nmd5.train = "{md5}"\n'
    path.write_text(columns + known + section, encoding="utf-8")
    arguments = ["--models", "lr", "--seeds", "1", "--workers", "1", "--max-epochs", "1"]
    out = ["--data", str(data), "--out", str(tmp_path / "out")]
    assert main(["--schema", str(path), *out, *arguments]) == 0
    shown = capfd.readouterr().out
    assert "train is not known to be the published file: its md5 differs." in shown
    assert "test is not" not in shown
    assert "| lr | 0.750000 | – | " in (tmp_path / "out/own_x1.md").read_text(encoding="utf-8")
    assert "lr seed 1 epoch 1: valid auc" in shown
    assert (tmp_path / "out/own_x1.html").is_file()
    path.write_text(f'{columns}scale = "standard"\n{section}', encoding="utf-8")
    assert main(["--schema", str(path), *out, *arguments]) == 0
    shown = capfd.readouterr().out
    assert "0 of 1 fits to do" in shown
    assert "warning" not in shown
    assert "left out: they are of the published test, whose md5 own_x1.toml does not say" in shown
    assert "0.750000" not in (tmp_path / "out/own_x1.md").read_text(encoding="utf-8")


def test_bad_data_are_one_line_and_exit_code_2(data, tmp_path, capsys):
    (data / "test.csv.gz").unlink()
    (data / "test.csv").write_text("\n".join([HEADER, *lines(9, 1), f"2,1,1,1{REST}"]))
    assert run(data, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error == (
        f"error: {data}/test.csv: line 11, 'label': got '2', expected 0 or 1, false or true\n"
    )
    assert list((tmp_path / "out" / "frappe_x1").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--models", "final_3b"), "error: --models: unknown 'final_3b', did you mean 'final_"),
        (("--seeds", "1,x"), "error: --seeds: got '1,x', expected numbers such as 2021,2022"),
        (("--workers", "0"), "error: --workers = 0 must be at least 1"),
        (("--max-epochs", "0"), "error: --max-epochs = 0 must be at least 1"),
        (("--device", "gpu"), "error: --device gpu must be auto, cpu, cuda or cuda:<n>"),
        (("--device", "cuda:99"), "error: --device = 'cuda:99', but torch sees "),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(data, tmp_path, capsys, options, message):
    assert run(data, tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_the_files_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert run(tmp_path / "none", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "holds no file of train, valid, test; --data must be a folder with" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: got neither a data set nor --schema; expected one of avazu_x1, criteo_x1, fr"),
        (["frappe_x1", "--schema", "own.toml"], "error: got both a data set and --schema; expec"),
        (["frappe"], "error: got the data set 'frappe', did you mean 'frappe_x1'?; there are"),
        (["--schema", "own.toml"], "error: own.toml: no such file; expected a TOML whose [data]"),
    ],
)
def test_one_data_set_is_named(data, capsys, arguments, message):
    assert main([*arguments, "--data", str(data)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_results_are_not_written_among_the_data(data, capsys):
    before = sorted(data.iterdir())
    assert run(data, data / "results") == 2
    assert "or a part of it, which is read" in capsys.readouterr().err
    assert sorted(data.iterdir()) == before


def test_a_fit_that_is_too_large_says_where_its_batches_are_set(
    data, tmp_path, monkeypatch, capsys
):
    def killed(*_, **__):
        raise BrokenProcessPool

    monkeypatch.setattr(local, "_pool", killed)
    assert run(data, tmp_path / "out", "--workers", "2") == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: final_1b seed 1: its process is killed every time, even with no"
    )
    assert f"lower fit.batch_size in the network's section of {OF.path}, and run the same" in error
    assert error.count("\n") == 1


def test_fits_on_a_gpu_have_names_of_their_own_and_share_it(data, tmp_path, monkeypatch):
    given = []

    def run_loky(work, tasks, slots, advice):
        given.append((tasks, slots))
        return iter(())

    options = ("--seeds", "1,2", "--workers", "3")
    assert run(data, tmp_path / "out", *options) == 0
    on_cpu = {path.name for path in (tmp_path / "out" / "frappe_x1").glob("final-seed*")}
    monkeypatch.setattr(fields, "pick_device", lambda *_: torch.device("cuda"))
    monkeypatch.setattr(devices, "gpus", lambda _: ["GPU-7"])
    monkeypatch.setattr(local, "run_loky", run_loky)
    assert run(data, tmp_path / "out", *options, "--device", "cuda:0") == 2  # nothing was trained
    ((tasks, slots),) = given
    assert slots == ["GPU-7", "GPU-7"]  # no more than there are fits
    assert {*tasks} == {"final_1b seed 1", "final_1b seed 2"}
    assert not {task[3].path.name for task in tasks.values()} & on_cpu
    assert {task[-1] for task in tasks.values()} == {"cuda:0"}


@pytest.mark.real
def test_the_real_files_have_the_published_sizes(tmp_path):
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent: Frappe_x1 may not be carried by the repository")
    path = stored(find(DATA), OF.data, tmp_path)
    frappe, rows = open_fields(path), OF.data.rows
    assert {split: len(r) for split, r in frappe.rows.items()} == dataclasses.asdict(rows)
    assert not {"valid", "test"} & {*unpublished_splits(path, OF.data)}
    assert tuple(frappe.sizes) == OF.data.sizes
