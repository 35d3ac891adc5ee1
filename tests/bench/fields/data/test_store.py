"""The store of fields: what stands in it, and that it appears whole or not at all."""

import dataclasses
import gzip
import hashlib
import random
import tracemalloc
import warnings

import numpy as np
import polars as pl
import pytest
import torch

from bench.fields.data import reading, store, vocabulary, writing
from bench.fields.data.reading import Column
from bench.fields.data.schema import Md5, Schema, find
from bench.fields.data.store import open_fields, unpublished_splits
from bench.fields.data.vocabulary import Moments, Vocabulary
from bench.fields.data.writing import stored
from features.errors import InputError
from features.store import atomic
from models.fields.network import FieldNetwork
from tests.helpers.mutations.field_files import SCHEMA, SPLITS, assert_holds, read_plainly
from tests.models.fields.test_network import settings

TEXTS = {
    "train": "label,price,city,id\n0,1,rome,10\n1,3,rome,9\n0,,oslo,9\n1,0,oslo,10\n0,6,bern,2\n",
    "valid": "id,label,price,city\n9.0,1,2,bern\n10,0,4,rome\n2,0,,nice\n",
    "test": "label,price,city,id\n0,-2,,10\n1,2,oslo,77\n",
}
CODES = {"train": [[2, 2], [2, 1], [1, 1], [1, 2], [3, 3]], "valid": [[3, 1], [2, 2], [3, 3]],
         "test": [[3, 2], [1, 3]]}  # fmt: skip


def write(folder, texts=TEXTS):
    folder.mkdir(exist_ok=True)
    for split, text in texts.items():
        (folder / f"{split}.csv").write_text(text, encoding="utf-8")
    return find(folder)


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "data")


def test_a_store_by_hand(files, tmp_path, capsys):
    path = stored(files, SCHEMA, tmp_path / "out")
    data = open_fields(path)
    assert data.sizes == [4, 4]  # oslo, rome; 9, 10: of two rows at least; padding and others
    for split in SPLITS:
        rows = data.rows[split]
        assert rows.columns.tolist() == CODES[split]
        assert (rows.columns.dtype, rows.numbers.dtype) == (torch.int32, torch.float32)
        assert data.label[split].dtype == torch.float32
    assert [data.label[split].tolist() for split in SPLITS] == [
        [0, 1, 0, 1, 0], [1, 0, 0], [0, 1],
    ]  # fmt: skip
    sd = np.std([1, 3, 0, 0, 6])
    want = torch.tensor([[0.0], [2.0], [-2.0]]) / sd
    assert torch.allclose(data.rows["valid"].numbers, want.float(), atol=1e-7)
    assert pl.read_parquet(path / store.VOCABULARY).rows() == [
        ("city", "oslo"), ("city", "rome"), ("id", "9"), ("id", "10"),
    ]  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("train.csv: 5 rows counted, ")
    assert "5 rows of train, 3 rows of valid, 2 rows of test, 8 rows of vocabularies" in lines[-1]


@pytest.mark.parametrize("scale", ["none", "standard", "min_max"])
@pytest.mark.parametrize("min_count", [1, 2, 3])
@pytest.mark.parametrize("block", [300, 1 << 24])
def test_a_store_as_loops_over_pythons_csv_make_it(tmp_path, monkeypatch, scale, min_count, block):
    draw = random.Random(min_count)

    def line(_):
        cells = (draw.choice(["a", "b,", "3", "3.0", "", "zz"]), draw.randrange(12))
        return f'{draw.randrange(2)},{draw.uniform(-9, 9):.3f},"{cells[0]}",{cells[1]}.0'

    texts = {s: "\n".join(["label,price,city,id", "0,1,a,1", "1,,b,2", *map(line, range(n))])
             for s, n in zip(SPLITS, (60, 25, 30), strict=True)}  # fmt: skip
    schema = dataclasses.replace(SCHEMA, scale=scale, min_count=min_count)
    monkeypatch.setattr(reading, "BLOCK", block)
    monkeypatch.setattr(vocabulary, "MERGED_AT_ONCE", 4)
    data = open_fields(stored(write(tmp_path / "data", texts), schema, tmp_path / "out"))
    plain = read_plainly({split: text.encode() for split, text in texts.items()}, schema)
    assert_holds(data, plain)


def test_nothing_of_valid_and_test_enters_vocabularies_and_scales(files, tmp_path):
    before = open_fields(stored(files, SCHEMA, tmp_path / "out"))
    more = {s: TEXTS[s] + "1,900,paris,500\n0,900,paris,500\n" * 9 for s in ("test",)}
    more["valid"] = TEXTS["valid"] + "500,1,900,paris\n" * 9
    after = open_fields(stored(write(tmp_path / "data", TEXTS | more), SCHEMA, tmp_path / "out"))
    assert after.sizes == before.sizes
    for split in SPLITS:
        n = len(before.rows[split])
        assert torch.equal(after.rows[split].columns[:n], before.rows[split].columns)
        assert torch.equal(after.rows[split].numbers[:n], before.rows[split].numbers)
    assert after.rows["test"].columns[2:].unique().tolist() == [3]  # other values, in both fields


def test_hashes_that_collide_change_no_row():
    values = pl.Series([f"v{i}" for i in range(50)])
    found = Vocabulary(values)
    found.hashes = np.zeros_like(found.hashes)  # every value is looked up at the last place
    column = Column(
        pl.Series(["w", str(values[int(found.order[-1])])]), np.array([0, 1, 0], np.int32)
    )
    assert found.encode(column).tolist() == [51, int(found.order[-1]) + 1, 51]


def test_a_field_none_of_whose_values_is_frequent_enough(files, tmp_path):
    data = open_fields(stored(files, dataclasses.replace(SCHEMA, min_count=99), tmp_path / "out"))
    assert data.sizes == [2, 2]
    assert all(set(rows.columns.flatten().tolist()) == {1} for rows in data.rows.values())


@pytest.mark.parametrize("how", ["standard", "min_max", "none"])
def test_moments_of_parts_are_those_of_the_whole(how):
    values = np.random.default_rng(0).normal(1e6, 3, 1000)
    moments = Moments()
    for part in np.split(values, [10, 11, 500]):
        moments.add(part)
    want = {"standard": (values.mean(), values.std()), "none": (0, 1),
            "min_max": (values.min(), np.ptp(values))}  # fmt: skip
    assert moments.scale(how) == pytest.approx(want[how], rel=1e-9)
    constant = Moments()
    constant.add(np.full(5, 7.0))
    assert constant.scale(how)[1] == 1


def test_the_second_call_finds_the_store_and_other_inputs_make_another(files, tmp_path, capsys):
    out = tmp_path / "out"
    first = stored(files, SCHEMA, out)
    times = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    capsys.readouterr()
    published = dataclasses.replace(SCHEMA, md5=Md5(train="0" * 32))
    assert stored(files, SCHEMA, out) == first == stored(files, published, out)
    assert times == {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    others = [dataclasses.replace(SCHEMA, **c) for c in ({"min_count": 1}, {"scale": "none"})]
    paths = {first, *(stored(files, schema, out) for schema in others)}
    files["test"].write_text(TEXTS["test"] + "1,1,rome,9\n", encoding="utf-8")
    paths.add(stored(files, SCHEMA, out))
    assert len(paths) == 4
    assert {*out.iterdir()} == paths


def test_a_line_precedes_the_reading_of_large_files(files, tmp_path, capsys, monkeypatch):
    size = sum(len(text.encode()) for text in TEXTS.values())
    for limit in (size, size - 1):
        monkeypatch.setattr(writing, "SAID_FROM", limit)
        stored(files, SCHEMA, tmp_path / "out")
        said = f"bench.fields.data reads {size:,} bytes" in capsys.readouterr().out
        assert said == (limit < size)


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_are_not_the_published_ones_are_named(files, tmp_path, capsys, packed):
    md5 = {s: hashlib.md5(TEXTS[s].encode(), usedforsecurity=False).hexdigest() for s in SPLITS}
    for path in files.values() if packed else ():
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    schema = dataclasses.replace(SCHEMA, md5=Md5(**(md5 | {"valid": "0" * 32})))
    path = stored(find(tmp_path / "data"), schema, tmp_path / "out")
    assert unpublished_splits(path, schema) == {"valid": "its md5 differs"}
    assert unpublished_splits(path, SCHEMA) == {}
    lines = [line for line in capsys.readouterr().out.splitlines() if "published" in line]
    assert len(lines) == 1
    assert lines[0].startswith("not known to be the published files: ")
    assert lines[0].endswith(f"data/valid.csv{'.gz' * packed} (its md5 differs)")


def test_parquet_is_not_compared_with_a_csv(files, tmp_path, capsys):
    for path in files.values():
        pl.read_csv(path).write_parquet(path.with_suffix(".parquet"))
        path.unlink()
    schema = dataclasses.replace(SCHEMA, md5=Md5(test="0" * 32))
    path = stored(find(tmp_path / "data"), schema, tmp_path / "out")
    assert unpublished_splits(path, schema) == {"test": "parquet has not the md5 of a csv"}
    assert "test.parquet (parquet has not the md5 of a csv)" in capsys.readouterr().out


def test_columns_that_the_schema_does_not_name_are_told(tmp_path, capsys):
    more = {s: "".join(f"{line},7\n" for line in t.splitlines()) for s, t in TEXTS.items()}
    stored(write(tmp_path / "data", more | {"test": TEXTS["test"]}), SCHEMA, tmp_path / "out")
    told = [line for line in capsys.readouterr().out.splitlines() if "left out" in line]
    start = "columns that the schema does not name are left out: '7'"
    assert told == [f"{tmp_path}/data/{split}.csv: {start}" for split in ("train", "valid")]


@pytest.mark.parametrize(
    ("split", "text", "message"),
    [
        (
            "train",
            "label,price,city,id\n",
            r"train\.csv: expected rows of both labels, 0 and 1; got no",
        ),
        (
            "test",
            "label,price,city,id\n",
            r"test\.csv: expected rows of both labels, 0 and 1; got 0",
        ),
        (
            "valid",
            "label,price,city,id\n1,1,a,1\n",
            "expected rows of both labels, 0 and 1; got 1 rows, all with label 1",
        ),
        (
            "test",
            TEXTS["test"] + "1,x,a,1\n",
            r"test\.csv: line 4, 'price': got 'x', expected a finite",
        ),
        (
            "valid",
            "label,price\n1,2\n",
            r"valid\.csv: got the columns 'label', 'price'; expected 'city', 'id'",
        ),
    ],
)
def test_what_is_refused_leaves_nothing(files, tmp_path, split, text, message):
    files[split].write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        stored(files, SCHEMA, tmp_path / "out")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_number_that_is_none_once_it_is_scaled_is_named(tmp_path):
    train = "label,price,city,id\n0,0,a,1\n1,1e-30,a,1\n"
    files = write(
        tmp_path / "data",
        TEXTS | {"train": train, "valid": "label,price,city,id\n0,1,a,1\n1,3e38,a,1\n"},
    )
    with pytest.raises(
        InputError, match=r"valid\.csv: line 3, 'price': got '3e38', expected a finite"
    ):
        stored(files, SCHEMA, tmp_path / "out")


def test_a_full_disk_is_one_line_and_leaves_nothing(files, tmp_path, monkeypatch):
    def full(self, rows):
        raise OSError(atomic.errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing._Array, "append", full)
    with pytest.raises(InputError, match="the disk is full or a limit is reached"):
        stored(files, SCHEMA, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_long_files_report_how_far_they_are(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(writing, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(reading, "BLOCK", 40)
    stored(files, SCHEMA, tmp_path / "out")
    lines = [line.split(" rows, ")[0] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("train.csv: ") and "% encoded" in line] == [
        "train.csv: 53% encoded, 1", "train.csv: 100% encoded, 5",
    ]  # fmt: skip


def test_a_mapped_store_trains_without_a_copy_of_it(tmp_path):
    fields = [f"f{i}" for i in range(8)]
    rng = np.random.default_rng(0)
    texts = {}
    for split, n in zip(SPLITS, (40_000, 10, 10), strict=True):
        table = pl.DataFrame({"label": np.arange(n) % 2, "x": rng.random(n)})
        table = table.with_columns(**{f: rng.integers(0, 50, n) for f in fields})
        texts[split] = table.write_csv()
    schema = Schema(label="label", categorical=tuple(fields), numeric=("x",))
    path = stored(write(tmp_path / "data", texts), schema, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = open_fields(path)
    rows, index = data.rows["train"], torch.tensor([39_999, 0, 7])
    net = FieldNetwork(settings("fm", "mlp", first_order=True), data.sizes, 1)
    tracemalloc.start()
    net(rows.batch(index)).sum().backward()
    assert tracemalloc.get_traced_memory()[1] < 1 << 18
    tracemalloc.stop()
    batch = rows.batch(index)
    assert batch.columns.dtype == torch.int32
    assert torch.equal(batch.columns, torch.tensor(np.load(path / "train/columns.npy")[[-1, 0, 7]]))
    assert net.embedding.weight.grad[rows.columns[0] + net.embedding.first].any(1).all()
