"""Files of fields: what is read, and what is refused, with which line."""

import datetime
import decimal
import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.fields.data import reading
from bench.fields.data.reading import FieldFile
from features.errors import InputError

HEADER = "label,x,a"


def read(path, numeric=("x",), categorical=("a",)):
    """Labels, numbers and texts, column by column."""
    file = FieldFile(path, ("label", *numeric, *categorical), numeric)
    label, numbers, texts = [], {n: [] for n in numeric}, {n: [] for n in categorical}
    for batch in file.batches():
        label += file.label(batch, "label").tolist()
        for name, values in numbers.items():
            values += file.numbers(batch, name).tolist()
        for name, values in texts.items():
            column = file.column(batch, name)
            assert column.index.dtype == np.int32
            values += column.values.gather(column.index).to_list()
    return label, numbers, texts


def csv(tmp_path, text, packed=False):
    data = text if isinstance(text, bytes) else text.encode()
    path = tmp_path / f"train.csv{'.gz' * packed}"
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


NO_TABLE = "not a csv table in UTF-8: "
CATEGORIES = {  # cell -> category
    "68fd1e64": "68fd1e64",
    "3": "3",
    "3.0": "3",
    "-3.00": "-3",
    "3.5": "3.5",
    "003": "003",
    "1e5": "1e5",
    "": "",
    "NA": "NA",
    '"a,b"': "a,b",
    '"say ""a"""': 'say "a"',
    '"two\nlines"': "two\nlines",
    " a": " a",
    "é名": "é名",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_categories_are_text_and_whole_floats_are_whole_numbers(tmp_path, packed, end):
    lines = [HEADER, *(f"{i % 2},,{cell}" for i, cell in enumerate(CATEGORIES))]
    _, numbers, texts = read(csv(tmp_path, "\ufeff" + end.join(lines) + end, packed))
    assert texts["a"] == [*CATEGORIES.values()]
    assert numbers["x"] == [0.0] * len(CATEGORIES)


def test_batches_of_any_length_hold_the_rows_in_order(tmp_path, monkeypatch):
    lines = [f'{i % 2},{i / 8},"v\n{i % 7}"' for i in range(3000)]
    path = csv(tmp_path, "\n".join([HEADER, *lines]))
    monkeypatch.setattr(reading, "BLOCK", 1000)
    label, numbers, texts = read(path)
    assert label == [i % 2 for i in range(3000)]
    assert numbers["x"] == [i / 8 for i in range(3000)]
    assert texts["a"] == [f"v\n{i % 7}" for i in range(3000)]
    bad = csv(tmp_path, "\n".join([HEADER, *lines, "1,1,v", "1,?,v"]))
    with pytest.raises(
        InputError, match=r"train\.csv: line 6,003, 'x': got '\?', expected a finite"
    ):
        read(bad)


def test_columns_are_found_by_name_and_others_left_out(tmp_path):
    path = csv(tmp_path, b"b,a,x,label,a \xe9\nq,u,1,0,\n\xe9,v,-2.5e-1,1,\n")
    assert read(path) == ([0, 1], {"x": [1.0, -0.25]}, {"a": ["u", "v"]})
    assert FieldFile(path, ("label", "x", "a"), ("x",)).extra == ["b", "a \udce9"]


def test_labels_may_be_floats(tmp_path):
    assert read(csv(tmp_path, f"{HEADER}\n1.0,1,a\n0.0,1,a\n1,1,a"))[0] == [1, 0, 1]


def test_true_and_false_are_1_and_0_as_labels_and_as_numbers_in_every_format(tmp_path):
    texts = ["True", "false", "TRUE", "0", "1.0"]
    want = [1, 0, 1, 0, 1]
    lines = "\n".join([HEADER, *(f"{text}, {text},a" for text in texts)])
    assert read(csv(tmp_path, lines))[:2] == (want, {"x": want})
    of_text = pa.array(texts)
    for column in (of_text, of_text.dictionary_encode(), pa.array([v == 1 for v in want])):
        got = read(parquet(tmp_path, label=column, x=column, a=["u"] * 5))
        assert got[:2] == (want, {"x": want})


def test_an_odd_number_of_quotes_is_no_fault_where_none_is_open(tmp_path):
    assert read(csv(tmp_path, f'{HEADER}\n0,1,3" pipe\n1,1,a'))[2] == {"a": ['3" pipe', "a"]}


BAD = {  # the seventh line of a file, its fourth row
    "label": ("2,1,a", "line 7, 'label': got '2', expected 0 or 1, false or true"),
    "no label": (",1,a", "line 7, 'label': got '', expected 0 or 1"),
    "half a label": ("0.5,1,a", "line 7, 'label': got '0.5', expected 0 or 1"),
    "text": ("1,NA,a", r"line 7, 'x': got 'NA', expected a finite number \(float32, also"),
    "nan": ("1,nan,a", "line 7, 'x': got 'nan', expected a finite number"),
    "inf": ("1,-inf,a", "line 7, 'x': got '-inf', expected a finite number"),
    "too large": ("1,1e39,a", "line 7, 'x': got '1e39', expected a finite number"),
    "too many": ("1,1,a,b", f"{NO_TABLE}line 7: expected 3 values, one for each column; got 4$"),
    "too few": ("1,1", f"{NO_TABLE}line 7: expected 3 values, one for each column; got 2$"),
    "spaces": ("  ", f"{NO_TABLE}line 7: expected 3 values, one for each column; got 1$"),
    "an open quote": ('1,1,"a', f"{NO_TABLE}line 7: a quote is not closed$"),
    "an open quote before a column": ('1,"1,a', f"{NO_TABLE}line 7: a quote is not closed$"),
    "an open quote and a label": ('2,1,"a', f"{NO_TABLE}line 7: a quote is not closed$"),
    "Latin-1": (b"1,1,\xe9", rf"{NO_TABLE}line 7, 'a': got b'.xe9', expected UTF-8: write the"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("line", "message"), BAD.values(), ids=BAD)
def test_a_bad_line_is_named(tmp_path, packed, line, message):
    line = line if isinstance(line, bytes) else line.encode()
    before = f'{HEADER}\n\n0,1,"a\nb"\n1,1,b\n0,,é\n'.encode()
    path = csv(tmp_path, before + line + b"\n0,1,a\n", packed)
    with pytest.raises(InputError, match=rf"train\.csv(\.gz)?: {message}") as caught:
        read(path)
    assert str(caught.value).isprintable()


WANTED = "expected 'label', 'x', 'a' among the columns, once"
HEADERS = {
    "empty": (b"", f"the file is empty; {WANTED}"),
    "semicolons": (
        '"label";"x";a\n',
        f"the first line has no comma but 2 semicolons: write the file with commas; {WANTED}",
    ),
    "tabs": ("label\tx\ta\n", "the first line has no comma but 2 tabs: write the file with commas"),
    "another name": ("y,x,a\n", "got the columns 'y', 'x', 'a'; expected 'label' among the"),
    "commas": ('"y,",x,a\n', "got the columns 'y,', 'x', 'a'; expected 'label' among the"),
    "twice": ("label,x,a,a\n", "got the columns 'label', 'x', 'a', 'a'; expected 'a' among the"),
    "several": ("id\n", f"got the columns 'id'; {WANTED}"),
    "Latin-1": (
        b"l\xe9bel,x,a\n0,1,a,b\n",
        r"got the columns 'l.udce9bel', 'x', 'a'; expected 'la",
    ),
    "a long cell": (f"{'x' * 200_000},label\n", r"got the columns 'x{59}\.\.\., 'label'; expected"),
    "an open quote": ('"label,x,a\n0,1,a\n', f"{NO_TABLE}line 1: a quote is not closed"),
} | {
    name: ("label,x,a\n".encode(name), f"the file is in UTF-16 or the like: .* in UTF-8; {WANTED}")
    for name in ("UTF-16", "UTF-16-LE", "UTF-32")
}


@pytest.mark.parametrize(("text", "message"), HEADERS.values(), ids=HEADERS)
def test_a_bad_header_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"train\.csv: ({message})") as caught:
        read(csv(tmp_path, text))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("cut", [5, 30, -9])
def test_a_damaged_gz_is_named(tmp_path, cut):
    path = csv(tmp_path, f"{HEADER}\n" + "0,1,a\n1,2,b\n" * 50, packed=True)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"train\.csv\.gz: not a csv table in UTF-8: "):
        read(path)
    path.write_bytes(b"label,x,a\n0,1,a\n")
    with pytest.raises(InputError, match=r"train\.csv\.gz: not a csv .*: Not a gzipped file"):
        read(path)


def parquet(tmp_path, **columns):
    path = tmp_path / "train.parquet"
    pq.write_table(
        pa.table({"label": [0, 1, 0], "x": [1.5, 2, None], "a": ["u"] * 3} | columns), path
    )
    return path


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([3, None, -7]), ["3", "", "-7"]),
        (pa.array([3.0, None, 1234567890123.0]), ["3", "", "1234567890123"]),
        (pa.array([3.5, -0.0, float("nan")]), ["3.5", "0", "nan"]),
        (pa.array(["3.0", None, "a,b"], pa.large_string()), ["3", "", "a,b"]),
        (pa.array(["3", None, "b"]).dictionary_encode(), ["3", "", "b"]),
        (pa.array([5, None, 6]).dictionary_encode(), ["5", "", "6"]),
        (pa.array([True, None, False]), ["1", "", "0"]),
        (pa.array([b"u", None, b"v"]), ["u", "", "v"]),
        (pa.nulls(3), ["", "", ""]),
        (pa.array([datetime.date(2014, 10, 21)] * 3), ["2014-10-21"] * 3),
        (pa.array([decimal.Decimal("3.0"), None, decimal.Decimal("2.5")]), ["3", "", "2.5"]),
    ],
)
def test_parquet_columns_of_any_flat_type_are_categories(tmp_path, column, texts):
    got = read(parquet(tmp_path, a=column))
    assert got == ([0, 1, 0], {"x": [1.5, 2.0, 0.0]}, {"a": texts})


@pytest.mark.parametrize(
    "column",
    [pa.array([2, None, -1]), pa.array(["2", "", "-1.0"]), pa.array([2, None, -1], pa.float16()),
     pa.array([decimal.Decimal("2.0"), None, decimal.Decimal("-1.0")]),
     pa.array(["2", None, "-1.0"]).dictionary_encode(),
     pa.array(["2", None, "-1"], pa.string_view())],
    ids=["int64", "string", "float16", "decimal", "dictionary", "string_view"],
)  # fmt: skip
def test_parquet_columns_of_numbers_in_any_type(tmp_path, column):
    assert read(parquet(tmp_path, x=column))[1] == {"x": [2.0, 0.0, -1.0]}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"a": pa.array([[1], [2], [3]])}, r"'a': got list<.*>, expected one value a row"),
        ({"x": pa.array([{"b": 1}] * 3)}, r"'x': got struct<.*>, expected numbers"),
        (
            {"x": pa.array([datetime.date(2014, 10, 21)] * 3)},
            r"'x': got date32.*, expected numbers",
        ),
        ({"x": pa.array([1, float("nan"), 2])}, "row 2, 'x': got nan, expected a finite number"),
        ({"x": pa.array(["1", "2", "q"])}, "row 3, 'x': got 'q', expected a finite number"),
        ({"label": pa.array([0, 1, 7])}, "row 3, 'label': got '7', expected 0 or 1"),
        ({"label": pa.array([0, 1, None])}, "row 3, 'label': got '', expected 0 or 1"),
        ({"a": pa.array([b"\xff"] * 3)}, "not a parquet file: .*UTF8"),
    ],
)
def test_a_bad_parquet_column_is_named(tmp_path, column, message):
    with pytest.raises(InputError, match=rf"train\.parquet: {message}"):
        read(parquet(tmp_path, **column))


def test_what_is_no_parquet_file_is_named(tmp_path):
    path = parquet(tmp_path)
    for data in (b"", b"label,x,a\n", path.read_bytes()[:-20]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"train\.parquet: not a parquet file: "):
            read(path)
