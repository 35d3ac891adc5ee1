"""bench.fields.speed on a small store of a data set of one's own."""

import random

import pytest

from bench.fields import speed
from bench.fields.data.schema import find
from bench.fields.data.store import open_fields
from bench.fields.data.writing import stored
from bench.fields.settings import network_settings, read_data_set

SCHEMA = """
[data]
label = "clicked"
categorical = ["user", "item"]
numeric = ["price"]

[shared]
fit.batch_size = 16

[dcn]
mlp.hidden = [8]
published.seconds = 1_352
"""


@pytest.fixture
def of(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(SCHEMA, encoding="utf-8")
    return read_data_set(path)


@pytest.fixture
def store(of, tmp_path):
    draw, data = random.Random(0), tmp_path / "data"
    data.mkdir()
    for split, n in (("train", 100), ("valid", 40), ("test", 20)):
        rows = [f"{i % 2},{draw.randrange(5)},{draw.randrange(9)},{draw.random()}"
                for i in range(n)]  # fmt: skip
        text = "\n".join(["clicked,user,item,price", *rows])
        (data / f"{split}.csv").write_text(text, encoding="utf-8")
    return stored(find(data), of.data, tmp_path / "out")


@pytest.fixture
def here(monkeypatch):
    """Networks train in this process."""
    monkeypatch.setattr(speed, "call_in_subprocess", lambda _, function, *args: function(*args))
    monkeypatch.setattr(speed.torch, "set_num_threads", lambda _: None)


def run(tmp_path, *arguments):
    return speed.main(["--schema", str(tmp_path / "own.toml"), "--steps", "2", *arguments])


def test_rounds_are_measured_after_one_to_warm_up(of, store, here):
    measured = speed.measure(network_settings("dcn", of), store, 3, 4, 1)
    assert len(measured["rates"]) == 4
    assert min(measured["rates"]) > 0
    sizes = open_fields(store).sizes
    rows = sum(sizes) - len(sizes)  # those of padding are not counted
    width = 3 * 10
    mlp = (width * 8 + 8) + 2 * 8 + (8 + 1)
    assert measured["parameters"] == (rows + 1) * 10 + 3 * 2 * width + width + mlp
    assert measured["peak_mib"] > 0


def test_the_median_round_gives_the_hours(of):
    measured = {"rates": [900.0, 1000.0, 1300.0], "parameters": 12_345, "peak_mib": 2_000}
    assert speed.cells("dcn", measured, 7_200_000, of) == (
        "dcn", "12,345", "1,000", "900", "1,300", "2.00", "1,352", "2,000",
    )  # fmt: skip
    assert speed.cells("lr", measured, 7_200_000, of)[6] == "–"


def test_a_store_and_files_give_the_same_table(of, store, here, tmp_path, capsys):
    assert run(tmp_path, "--store", str(store), "--models", "dcn,lr", "--rounds", "1") == 0
    shown = capsys.readouterr().out
    assert f"{store}: 1 rounds of 2 steps, 2 threads; an epoch has 100 rows" in shown
    assert [line.split(" | ")[0] for line in shown.splitlines()[-2:]] == ["| dcn", "| lr"]
    out = ("--data", str(tmp_path / "data"), "--out", str(tmp_path / "made"))
    assert run(tmp_path, *out, "--models", "lr", "--rounds", "1") == 0
    assert f"{tmp_path}/made/own/store-" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "error: expected one of --data, a folder with three files, and --store"),
        (("--store", "none"), "error: none: holds no fields.json; expected a store that bench"),
        (("--store", "none", "--rounds", "0"), "error: --rounds = 0 must be at least 1"),
        (("--store", "none", "--models", "dnc"), "error: --models: unknown 'dnc', did you mean"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(of, tmp_path, capsys, arguments, message):
    assert run(tmp_path, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_a_store_of_other_columns_is_refused(store, tmp_path, capsys):
    path = tmp_path / "own.toml"
    path.write_text(SCHEMA.replace('"user", "item"', '"user"'), encoding="utf-8")
    assert run(tmp_path, "--store", str(store)) == 2
    message = "a store of 'clicked', 'price', 'user', 'item'; expected 'clicked', 'price', 'user'"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "data"),
    [("train/columns.npy", "cut"), ("test/label.npy", b""), ("fields.json", b"{"),
     ("valid/numbers.npy", None), ("fields.json", b"[]")],
)  # fmt: skip
def test_a_damaged_store_is_one_line_that_names_the_file(store, here, tmp_path, capsys, name, data):
    path = store / name
    if data is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if data == "cut" else data)
    capsys.readouterr()
    assert run(tmp_path, "--store", str(store), "--models", "lr", "--rounds", "1") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: damaged (")
    assert error.endswith("); remove the store, so that it is made again\n")
    assert error.count("\n") == 1
