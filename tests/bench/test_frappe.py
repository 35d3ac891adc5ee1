"""The Frappe benchmark on small files."""

import dataclasses
import gzip
import math
import random
import shutil
from pathlib import Path

import pytest
import torch
from sklearn.metrics import log_loss as sklearn_log_loss

from bench.frappe import data as frappe_data
from bench.frappe import fits, tables
from bench.frappe.__main__ import main
from features.errors import InputError
from models.fields import FieldNetwork
from pipeline.config.paths import REPOSITORY

DATA = REPOSITORY.parent / "shared" / "data" / "frappe_x1"
HEADER = "label,user,item,daytime"


def lines(n, seed):
    """Rows whose label follows from the item, most of the time."""
    draw = random.Random(seed)
    rows = [(draw.randrange(5), draw.randrange(100, 109), draw.randrange(3)) for _ in range(n)]
    return [f"{int((i % 2 == 0) ^ (draw.random() < 0.1))},{u},{i},{d}" for u, i, d in rows]


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


def run(data, out, *options):
    arguments = (
        "--rows",
        "final_1b",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--max-epochs",
        "1",
        *options,
    )
    return main(["--data", str(data), "--out", str(out), *arguments])


def test_values_of_train_are_encoded_and_others_share_the_last_code(tmp_path):
    texts = {"train": "0,5,7\n1,3,7", "valid": "1,3,8\n0,5,7", "test": "0,4,7\n1,5,0"}
    for split, text in texts.items():
        (tmp_path / f"{split}.csv").write_text(f"label,a,b\n{text}\n")
    frappe = frappe_data.read(frappe_data.find(tmp_path))
    assert {k: v.columns.tolist() for k, v in frappe.rows.items()} == {
        "train": [[2, 1], [1, 1]],
        "valid": [[1, 2], [2, 1]],
        "test": [[3, 1], [2, 2]],
    }
    assert frappe.sizes == [4, 3]  # padding, the values of train, all others
    assert frappe.label["valid"].tolist() == [1.0, 0.0]


def test_a_run_trains_and_scores_once(data, tmp_path, capfd):
    assert run(data, tmp_path / "out", "--rows", "final_1b,mlp,mlp_final") == 0
    first = capfd.readouterr().out
    assert "bench.frappe 3 scores, 2 fits to do" in first  # mlp_final is final_1b
    assert "final_1b seed 1 epoch 1: valid auc 0." in first
    assert "fits stopped after at most 1 epochs" in first
    assert "test is not the published file" in first
    assert "| final_1b | 256,791 | " in first
    assert "| MLP | " in first
    folders = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert sorted(p.name.rpartition("-")[0] for p in folders) == [
        "none-final-seed1",
        "none-mlp-seed1",
    ]
    assert run(data, tmp_path / "out", "--rows", "final_1b,mlp,mlp_final") == 0
    again = capfd.readouterr().out
    assert "0 fits to do" in again
    assert again.partition("\n\n")[2] == first.partition("\n\n")[2]
    assert folders == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}


def test_the_name_depends_on_settings_seed_bytes_and_code_but_not_on_unread_parts(
    data, tmp_path, monkeypatch
):
    files, s = frappe_data.find(data), fits.row_settings("mlp")

    def name(s=s, seed=1, files=files):
        return fits.fit_spec(s, seed, files, tmp_path).path.name

    text = (REPOSITORY / "bench/frappe/mlp.toml").read_text()
    names = [name(), name(fits.row_settings("mlp", 5)), name(seed=2)]
    names.append(name(fits.parse(text.replace("dropout = 0.2", "dropout = 0.3"), "mlp.toml")))
    changed = tmp_path / "test.csv"
    changed.write_text("label,a\n0,1\n")
    names.append(name(files=files | {"test": changed}))
    monkeypatch.setattr(fits, "CODE", fits.CODE[1:])
    names.append(name())
    assert len(set(names)) == len(names)


def test_the_best_epoch_of_valid_scores_test(data):
    frappe = frappe_data.read(frappe_data.find(data))
    text = (REPOSITORY / "bench/frappe/mlp.toml").read_text().replace("[400, 400]", "[8]")
    s = fits.parse(text.replace("4096", "64").replace("l2 = 0.1", "l2 = 0.001"), "small", 6)
    report = fits.train(s, 3, frappe, "small")
    curve = [epoch["score"] for epoch in report["epochs"]]
    assert report["valid_auc"] == max(curve) == curve[report["best_epoch"] - 1]
    assert report["auc"] > 0.8  # the item decides nine labels of ten
    assert fits.train(s, 3, frappe, "again")["auc"] == report["auc"]


@pytest.mark.parametrize("logits", [[-3.0, 0.5, 2.0, 0.0], [-800.0, 40.0, 800.0, -1.0]])
def test_log_loss_is_that_of_sklearn_at_the_extremes_too(logits):
    label = torch.tensor([1.0, 0.0, 0.0, 1.0])
    p = [1 / (1 + math.exp(-x)) if x > -700 else 0.0 for x in logits]
    want = sklearn_log_loss(label.numpy(), p)
    assert fits.log_loss(label, torch.tensor(logits)) == pytest.approx(want, rel=1e-12)


def test_the_tables_give_published_beside_measured_and_differences_by_seed():
    def reports(*scores):
        fixed = {"parameters": 12, "best_epoch": 1, "epochs": [{}]}
        return [fixed | {"auc": a, "log_loss": b} for a, b in scores]

    reports_by_row = {
        "final_2b": reports((0.98, 0.14), (0.99, 0.12)),
        "dcn": reports((0.90, 0.3), (0.92, 0.4)),
        "dcn_final": reports((0.93, 0.2), (0.91, 0.4)),
        "mlp": reports((0.90, 0.3), (0.92, 0.4)),
        "mlp_final": reports((0.80, 0.3), (0.82, 0.4)),
        "deepfm": reports((0.90, 0.3), (0.92, 0.4)),
    }
    text = tables.table(reports_by_row, [1, 2])
    assert (
        "| final_2b | 338,502 | 12 | 0.985744 | 0.985000 ± 0.007071"
        " | 0.131070 | 0.130000 ± 0.014142 | 1 (1), 1 (1) |"
    ) in text
    assert "| dcn | – | 12 | 0.9839 | 0.910000 ± 0.014142 | – | 0.350000 ± 0.070711 |" in text
    gains = tables.gains(reports_by_row)
    assert "| DCN | +0.010000 ± 0.028284 | -0.050000 ± 0.070711 |" in gains
    assert "| MLP | -0.100000 ± 0.000000 | +0.000000 ± 0.000000 |" in gains
    assert "DeepFM" not in gains
    assert gains.endswith("backbones whose mean AUC gains: 1 of 2")
    assert tables.gains({"final_1b": reports((0.9, 0.1))}) == ""
    of_layers = {"final_1b": reports((0.9, 0.1)), "final_1b_paper": reports((0.8, 0.3))}
    layers = tables.gains(of_layers)
    assert layers.startswith("| paper's layer - published, in |")
    assert layers.endswith("| FINAL 1B | -0.100000 | +0.200000 |")
    assert tables.gains(of_layers | reports_by_row) == f"{layers}\n\n{gains}"


@pytest.mark.parametrize("row", ["final_1b", "final_2b"])
def test_finals_rows_have_the_published_number_of_parameters(row):
    seen = (954, 4082, 7, 7, 2, 3, 2, 9, 80, 233)  # distinct values of Frappe_x1's train fields
    network = FieldNetwork(fits.row_settings(row), [n + 2 for n in seen])
    assert sum(p.numel() for p in network.parameters()) == tables.PUBLISHED[row].parameters


@pytest.mark.parametrize(("row", "more"), [("final_1b", 200_800), ("final_2b", 281_200)])
def test_the_papers_layer_is_the_only_change_of_its_rows_and_has_twice_the_maps(row, more):
    plain, paper = (fits.row_settings(f"{row}{end}") for end in ("", "_paper"))
    assert paper.final.layer == "paper"
    layer = dataclasses.replace(paper.final, layer="published")
    assert dataclasses.replace(paper, final=layer) == plain
    networks = [FieldNetwork(s, [5] * 10) for s in (plain, paper)]
    published, ours = (sum(p.numel() for p in net.parameters()) for net in networks)
    assert ours - published == more


def test_the_rows_of_table_2_differ_only_in_their_parts():
    for backbone in tables.BACKBONES:
        plain, block = (fits.row_settings(f"{backbone}{end}") for end in ("", "_final"))
        assert (plain.explicit, plain.cin_maps) == (block.explicit, block.cin_maps)
        assert (plain.deep, block.deep) == ("mlp", "final")
        assert plain.fit == block.fit == fits.row_settings("final_1b").fit
        assert plain.mlp.dropout == block.final.dropout
        assert plain.mlp.hidden == block.final.block1
        assert block.final == fits.row_settings("final_1b").final
    assert fits.row_settings("mlp_final") == fits.row_settings("final_1b")
    kinds = [fits.row_settings(backbone).explicit for backbone in tables.BACKBONES]
    assert kinds == ["none", "fm", "cin", "cross"]


def test_every_row_has_its_settings_and_every_settings_file_its_row():
    names = sorted(path.stem for path in (REPOSITORY / "bench/frappe").glob("*.toml"))
    assert names == sorted(tables.ROWS)


def test_settings_that_no_part_reads_are_refused():
    head = 'explicit = "none"\ndeep = "mlp"\n'
    with pytest.raises(InputError, match=r"row: unknown key 'depe', did you mean 'deep'\?"):
        fits.parse(head + 'depe = "mlp"', "row")
    with pytest.raises(
        InputError, match="row: 'cross_layers' is read by no part that this row has"
    ):
        fits.parse(head + "cross_layers = 2", "row")
    final = head.replace("mlp", "final") + "[final]\n"
    with pytest.raises(InputError, match=r"row: 'final\.steps' is read by no part that this row"):
        fits.parse(final + "steps = 3", "row")
    with pytest.raises(InputError, match=r"row: 'final\.residual' is read by no part that this"):
        fits.parse(final + 'layer = "paper"\nresidual = "sum"', "row")
    with pytest.raises(InputError, match=r"row: final\.steps = 1 must "):
        fits.parse(final + 'layer = "paper"\nsteps = 1', "row")
    for key in ("item_dropout = 0.1", "prefixes = 3"):
        with pytest.raises(InputError, match="fields have none: leave it 0"):
            fits.parse(f'explicit = "cross"\ndeep = "mlp"\n[fit]\n{key}', "row")
    with pytest.raises(InputError, match="row: not TOML"):
        fits.parse("deep =", "row")


BAD = {
    "a value missing": ("0,1,,2", r"line 402, item: got None, expected a whole number, 0 or more"),
    "negative": ("0,1,-7,2", r"line 402, item: got '-7', expected a whole number, 0 or more"),
    "text": ("0,1,x,2", r"line 402, item: got 'x', expected a whole number"),
    "a fraction": ("0,1,2.5,2", r"line 402, item: got '2\.5', expected a whole number"),
    "another label": ("2,1,7,2", r"line 402, label: got '2', expected 0 or 1"),
    "too many values": ("0,1,7,2,9", "train.csv.gz: not a csv table"),
}


@pytest.mark.parametrize(("line", "message"), BAD.values(), ids=BAD)
def test_a_bad_line_is_named(data, line, message):
    path = data / "train.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + line.encode() + b"\r\n"))
    with pytest.raises(InputError, match=message):
        frappe_data.read(frappe_data.find(data))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item,daytime\n1,2,3\n", "got the columns user,item,daytime, expected label and the"),
        ("label,item,user,daytime\n1,2,3,4\n0,1,1,1\n", "got the columns label,item,user,daytime,"),
        (f"{HEADER}\n1,2,3,4\n", "expected rows of both labels, 0 and 1; got 1 rows"),
        (f"{HEADER}\n", "expected rows of both labels, 0 and 1; got 0 rows"),
        ("", "not a csv table"),
    ],
)
def test_a_bad_table_is_named(data, text, message):
    (data / "test.csv").write_text(text)  # goes before test.csv.gz
    with pytest.raises(InputError, match=rf"test\.csv: {message}"):
        frappe_data.read(frappe_data.find(data))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rows", "final_3b"), "error: --rows: unknown 'final_3b', did you mean 'final_"),
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
    assert "holds neither train.csv nor train.csv.gz; --data must be a folder" in error
    assert error.count("\n") == 1


def test_results_are_not_written_among_the_data(data, capsys):
    before = sorted(data.iterdir())
    assert run(data, data / "results") == 2
    assert "or a part of it, which is read" in capsys.readouterr().err
    assert sorted(data.iterdir()) == before


def test_a_fit_that_diverges_is_named_and_leaves_nothing(data, tmp_path):
    files = frappe_data.find(data)
    text = (REPOSITORY / "bench/frappe/dcn.toml").read_text()
    s = fits.parse(text.replace("rate = 1e-3", "rate = 1e30").replace("4096", "64"), "dcn.toml")
    spec = fits.fit_spec(s, 1, files, tmp_path / "out")
    with pytest.raises(InputError, match=r"dcn seed 1: epoch 1: .* lower fit\.learning_rate"):
        fits.run(s, 1, files, spec, "dcn seed 1")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.real
def test_the_real_files_have_the_published_sizes_and_parameters():
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent: Frappe_x1 may not be carried by the repository")
    files = frappe_data.find(DATA)
    frappe = frappe_data.read(files)
    assert [len(frappe.rows[split]) for split in frappe_data.SPLITS] == [202_027, 57_722, 28_860]
    assert not {"valid", "test"} & {*frappe_data.unpublished_splits(files)}
    parts = FieldNetwork(fits.row_settings("final_1b"), frappe.sizes).parameters()
    assert sum(p.numel() for p in parts) == 256_791
