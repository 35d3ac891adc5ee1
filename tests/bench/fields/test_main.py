"""The benchmark over fields on small files."""

import dataclasses
import gzip
import hashlib
import math
import os
import random
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss as sklearn_log_loss

from bench.fields import fits
from bench.fields.__main__ import main
from bench.fields.data.schema import find
from bench.fields.data.store import open_fields, unpublished_splits
from bench.fields.data.writing import stored
from bench.fields.settings import data_set, network_settings
from cv.auc import auc
from features.errors import InputError
from models.batches import plan
from models.fields.settings import Deep, Explicit
from models.training import averaging, warm_up
from pipeline.config.paths import REPOSITORY
from pipeline.config.tables import merge

DATA = REPOSITORY.parent / "shared" / "data" / "frappe_x1"
OF = data_set("frappe_x1")
HEADER = ",".join(("label", *OF.data.categorical))
REST = ",0" * (len(OF.data.categorical) - 3)


def lines(n, seed):
    """Rows whose label follows from the item, most of the time."""
    draw = random.Random(seed)
    rows = [(draw.randrange(5), draw.randrange(100, 109), draw.randrange(3)) for _ in range(n)]
    return [f"{int((i % 2 == 0) ^ (draw.random() < 0.1))},{u},{i},{d}{REST}" for u, i, d in rows]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frappe")
    for seed, (split, n) in enumerate((("train", 400), ("valid", 90), ("test", 80))):
        text = "\r\n".join([HEADER, *lines(n, seed)]) + "\r\n"
        (folder / f"{split}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder


@pytest.fixture
def data(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "data"))


@pytest.fixture(scope="module")
def opened(written, tmp_path_factory):
    """The folder of the store of `written`."""
    return stored(find(written), OF.data, tmp_path_factory.mktemp("store"))


def run(data, out, *options):
    arguments = (
        "--models",
        "final_1b",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--max-epochs",
        "1",
        *options,
    )
    return main(["frappe_x1", "--data", str(data), "--out", str(out), *arguments])


def changed(name, **sections):
    """A network on Frappe_x1 with other settings than the published ones."""
    own = merge(OF.sections[name], sections)
    return network_settings(name, dataclasses.replace(OF, sections=OF.sections | {name: own}))


def test_a_run_trains_and_scores_once(data, tmp_path, capfd):
    assert run(data, tmp_path / "out", "--models", "final_1b,lr,mlp,mlp_final") == 0
    first = capfd.readouterr().out
    assert "bench.fields 4 scores, 4 fits to do" in first
    assert "final_1b seed 1 epoch 1: valid auc 0." in first
    assert "Fits stopped after at most 1 epochs." in first
    assert "test is not known to be the published file" in first
    assert "Published figures are left out" in first
    assert "| MLP | " in first
    text = (tmp_path / "out/frappe_x1.md").read_text(encoding="utf-8")
    assert text in first
    assert "| final_1b | 0." in text
    assert "benchmark" not in text
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
    assert "0 fits to do" in again
    assert again.partition("\n\n")[2] == first.partition("\n\n")[2]
    assert folders == {p: p.stat().st_mtime_ns for p in fits_of.iterdir()}


def test_published_figures_are_shown_beside_scores_of_the_published_test(data, tmp_path, capfd):
    md5 = hashlib.md5(gzip.decompress((data / "test.csv.gz").read_bytes())).hexdigest()
    path = tmp_path / "own_x1.toml"
    columns = ", ".join(f'"{name}"' for name in ("user", "item"))
    path.write_text(
        f'[data]\nlabel = "label"\ncategorical = [{columns}]\nnumeric = ["daytime"]\n'
        f'scale = "standard"\nmd5.test = "{md5}"\nmd5.train = "{md5}"\n'
        "[lr]\nfit.batch_size = 64\npublished = { auc = 0.75 }\n",
        encoding="utf-8",
    )
    arguments = ["--models", "lr", "--seeds", "1", "--workers", "1", "--max-epochs", "1"]
    out = ["--data", str(data), "--out", str(tmp_path / "out")]
    assert main(["--schema", str(path), *out, *arguments]) == 0
    shown = capfd.readouterr().out
    assert "train is not known to be the published file: its md5 differs." in shown
    assert "test is not" not in shown
    assert "| lr | 0.750000 | – | " in (tmp_path / "out/own_x1.md").read_text(encoding="utf-8")
    assert "lr seed 1 epoch 1: valid auc" in shown
    assert (tmp_path / "out/own_x1.html").is_file()


def test_the_name_depends_on_settings_seed_bytes_and_code_but_not_on_unread_parts(
    opened, data, tmp_path, monkeypatch
):
    s = network_settings("mlp", OF)

    def name(s=s, seed=1, store=opened):
        return fits.fit_spec(s, seed, store, tmp_path).path.name

    names = [name(), name(network_settings("mlp", OF, 5)), name(seed=2)]
    names.append(name(changed("mlp", mlp={"dropout": 0.3})))
    (data / "test.csv").write_text("\n".join([HEADER, *lines(80, 9)]))  # before test.csv.gz
    names.append(name(store=stored(find(data), OF.data, tmp_path)))
    monkeypatch.setattr(fits, "CODE", fits.CODE[1:])
    names.append(name())
    assert len(set(names)) == len(names)


def test_the_best_epoch_of_valid_scores_test(opened):
    frappe = open_fields(opened)
    small = {"embedding_l2": 0.001, "batch_size": 64, "max_epochs": 6}
    s = changed("mlp", mlp={"hidden": [8]}, fit=small)
    report, logits = fits.train(s, 3, frappe, "small")
    curve = [epoch["score"] for epoch in report["epochs"]]
    assert report["valid_auc"] == max(curve) == curve[report["best_epoch"] - 1]
    assert report["auc"] > 0.8  # the item decides nine labels of ten
    assert auc(frappe.label["test"], logits) == report["auc"]
    assert torch.equal(fits.train(s, 3, frappe, "again")[1], logits)


def test_epochs_of_minutes_say_how_far_they_are(opened, monkeypatch, capsys):
    s = changed("lr", fit={"max_epochs": 2, "batch_size": 100})
    fits.train(s, 1, open_fields(opened), "lr")
    assert capsys.readouterr().out.count("\n") == 2
    monkeypatch.setattr(fits, "SECONDS_BETWEEN_LINES", 0.0)
    fits.train(s, 1, open_fields(opened), "lr")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines[5:8]] == [
        "lr epoch 2: 0%", "lr epoch 2: 25%", "lr epoch 2: 50%",
    ]  # fmt: skip
    assert lines[8].startswith("lr epoch 2: 75%, ")
    assert lines[9].startswith("lr epoch 2: valid auc ")


def test_a_stopped_fit_goes_on_after_its_last_epoch(opened, tmp_path, monkeypatch, capsys):
    s = changed("final_2b", final={"block1": [8], "block2": [6]}, fit={"max_epochs": 4})
    whole, parts = (fits.fit_spec(s, 1, opened, tmp_path / name) for name in ("whole", "parts"))
    fits.run(s, 1, opened, whole, "whole", os.getpid())
    monkeypatch.setattr(fits, "SAVE_EVERY", 0.0)
    log_loss, epochs = fits.log_loss, iter(range(2))

    def stop_in_the_third(label, logits):  # called once after each epoch
        next(epochs)
        return log_loss(label, logits)

    monkeypatch.setattr(fits, "log_loss", stop_in_the_third)
    with pytest.raises(StopIteration):
        fits.run(s, 1, opened, parts, "parts", os.getpid())
    monkeypatch.setattr(fits, "log_loss", log_loss)
    capsys.readouterr()
    fits.run(s, 1, opened, parts, "parts", os.getpid())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "parts resumes after epoch 2"
    assert lines[1].startswith("parts epoch 3: valid auc 0.")
    a, b = (np.load(spec.path / fits.LOGITS) for spec in (whole, parts))
    assert np.array_equal(a, b)
    assert list((tmp_path / "parts").glob(".*")) == []


@pytest.mark.parametrize("logits", [[-3.0, 0.5, 2.0, 0.0], [-800.0, 40.0, 800.0, -1.0]])
def test_log_loss_is_that_of_sklearn_at_the_extremes_too(logits):
    label = torch.tensor([1.0, 0.0, 0.0, 1.0])
    p = [1 / (1 + math.exp(-x)) if x > -700 else 0.0 for x in logits]
    want = sklearn_log_loss(label.numpy(), p)
    assert fits.log_loss(label, torch.tensor(logits)) == pytest.approx(want, rel=1e-12)


def test_the_fits_of_a_network_depend_on_the_code_of_its_own_parts(opened, tmp_path, monkeypatch):
    def names():
        return {n: fits.fit_spec(network_settings(n, OF), 1, opened, tmp_path).path.name for n in
                ("afm", "dcn", "dcn_final", "final_1b", "lr")}  # fmt: skip

    for module in (warm_up, averaging, plan):  # the batches' order among them
        assert module in fits.CODE
    before = names()
    monkeypatch.setitem(fits.CODE_OF_PART, "final", ())
    changed = {n for n, name in names().items() if name != before[n]}
    assert changed == {"dcn_final", "final_1b"}
    assert {*fits.CODE_OF_PART} == {*get_args(Explicit), *get_args(Deep)} - {"none"}


def test_bad_data_are_one_line_and_exit_code_2(data, tmp_path, capsys):
    (data / "test.csv").write_text("\n".join([HEADER, *lines(9, 1), f"2,1,1,1{REST}"]))
    assert run(data, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error == f"error: {data}/test.csv: row 10, label: got '2', expected 0 or 1\n"
    assert list((tmp_path / "out" / "frappe_x1").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--models", "final_3b"), "error: --models: unknown 'final_3b', did you mean 'final_"),
        (("--seeds", "1,x"), "error: --seeds: got '1,x', expected numbers such as 2021,2022"),
        (("--workers", "0"), "error: --workers = 0 must be at least 1"),
        (("--max-epochs", "0"), "error: --max-epochs = 0 must be at least 1"),
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


def test_a_fit_that_diverges_is_named_and_leaves_nothing(opened, tmp_path):
    s = changed("dcn", fit={"learning_rate": 1e30, "batch_size": 64, "max_epochs": 2})
    spec = fits.fit_spec(s, 1, opened, tmp_path / "out")
    with pytest.raises(InputError, match=r"dcn seed 1: epoch 1: .* lower fit\.learning_rate"):
        fits.run(s, 1, opened, spec, "dcn seed 1", os.getpid())
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.real
def test_the_real_files_have_the_published_sizes(tmp_path):
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent: Frappe_x1 may not be carried by the repository")
    path = stored(find(DATA), OF.data, tmp_path)
    frappe, rows = open_fields(path), OF.data.rows
    assert {split: len(r) for split, r in frappe.rows.items()} == dataclasses.asdict(rows)
    assert not {"valid", "test"} & {*unpublished_splits(path, OF.data)}
    assert tuple(frappe.sizes) == OF.data.sizes
