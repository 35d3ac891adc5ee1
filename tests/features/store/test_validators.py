"""Every check finds its fault and names file, column and row; nothing is written."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.store import schema
from features.store.prepare import write_store
from features.store.store import open_store
from tests.helpers.worlds import lists, tiny_challenge

WIDTH, ITEMS, ROWS = 12, 40, 240


@pytest.fixture
def folder(tmp_path):
    return tiny_challenge(tmp_path / "challenge", rows=ROWS, width=WIDTH, items=ITEMS)


def column_of(folder, file, column):
    """A column as a list of Python objects."""
    return pq.read_table(folder / f"{file}.parquet")[column].to_pylist()


def put(folder, file, column, values):
    """Replace a column by `values` (an Arrow array, or objects in the column's type)."""
    path = folder / f"{file}.parquet"
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    if isinstance(values, list):
        values = pa.array(values, table.schema.field(index).type)
    pq.write_table(table.set_column(index, column, values), path)


def cell(file, column, row, value):
    """A change of the folder: one cell gets another value."""

    def change(folder):
        values = column_of(folder, file, column)
        values[row] = value
        put(folder, file, column, values)

    return change


def message_of(folder, published_sizes=False):
    """The message for a broken folder, after checking that no store was written."""
    store = folder.parent / "store"
    with pytest.raises(InputError) as caught:
        write_store(store, schema.files(folder), published_sizes)
    assert not list(store.rglob("*"))
    with pytest.raises(InputError, match=r"10_prepare"):
        open_store(store)
    return str(caught.value)


def faults_of(message):
    return [line.strip() for line in message.splitlines() if line.startswith("  ")]


SEQ = [0] * (WIDTH - 3) + [3, 4, 5]
CONTENT = [0.5] * 128
ONES, IDS = pa.array([1] * ROWS), np.arange(ITEMS)
CELLS = {
    "null user": ("train", "user_id", 7, None, "null", "no nulls"),
    "null level": ("test", "likes_level", 3, None, "null", "no nulls"),
    "null label": ("valid", "label", 3, None, "null", "no nulls"),
    "null history": ("train", "item_seq", 9, None, "null", "no nulls"),
    "null in a history": ("test", "item_seq", 9, [None, *SEQ[1:]], "null", "no nulls in lists"),
    "null content": ("item_info", "item_emb_d128", 4, None, "null", "no nulls"),
    "null in content": ("item_info", "item_emb_d128", 4, [None, *CONTENT[1:]], "null", "no nulls"),
    "nan": ("item_info", "item_emb_d128", 4, [*CONTENT[1:], float("nan")], "nan", "finite"),
    "infinity": ("item_info", "item_emb_d128", 4, [*CONTENT[1:], float("-inf")], "-inf", "finite"),
    "negative user": ("train", "user_id", 239, -1, "-1", "0..2147483647"),
    "large user": ("test", "user_id", 0, 2**31, "2147483648", "0..2147483647"),
    "padding as target": ("train", "item_id", 5, 0, "0", "1..39"),
    "target beyond the table": ("valid", "item_id", 5, ITEMS, "40", "1..39"),
    "history beyond the table": ("test", "item_seq", 5, [*SEQ[1:], 40], "40", "0..39"),
    "negative in a history": ("train", "item_seq", 5, [*SEQ[1:], -2], "-2", "0..39"),
    "short history": ("valid", "item_seq", 0, SEQ[1:], "11 elements", "lists of 12 elements"),
    "zero inside": ("train", "item_seq", 8, [*SEQ[1:-1], 0, 7], "0 at position 10", "left only"),
    "right-padded": ("train", "item_seq", 8, SEQ[::-1], "0 at position 3", "left only"),
    "likes": ("train", "likes_level", 2, 11, "11", "0..10"),
    "views": ("test", "views_level", 2, -1, "-1", "0..10"),
    "label": ("train", "label", 2, 2, "2", "0..1"),
    "test id": ("test", "ID", 6, 5, "5", "each value once"),
    "row is not id": ("item_info", "item_id", 6, 7, "7", "equal to the row's number"),
    "negative tag": ("item_info", "item_tags", 6, [0, 0, 0, 0, -1], "-1", "0..2147483647"),
    "four tags": ("item_info", "item_tags", 6, [0, 0, 0, 1], "4 elements", "lists of 5"),
    "short content": ("item_info", "item_emb_d128", 6, [0.5], "1 elements", "lists of 128"),
    "tags of padding": ("item_info", "item_tags", 0, [0, 0, 0, 0, 1], "1 non-zero", "all zeros"),
    "content of padding": ("item_info", "item_emb_d128", 0, CONTENT, "128 non-zero", "all zeros"),
    "item level": ("item_feature", "likes_level", 6, 12, "12", "0..10"),
    "item_feature row 0": ("item_feature", "item_id", 6, 0, "0", "1..39"),
}


@pytest.mark.parametrize("case", CELLS.values(), ids=CELLS.keys())
def test_one_wrong_cell_is_named_by_file_column_and_row(folder, case):
    file, column, row, value, found, expected = case
    cell(file, column, row, value)(folder)
    faults = faults_of(message_of(folder))
    assert len(faults) == 1
    assert faults[0].startswith(f"{file}.parquet: {column}: found {found}")
    assert f"in row {row} (1 row); expected" in faults[0]
    assert expected in faults[0].partition("; expected ")[2]


WHOLE = {
    "one label only": ("train", "label", ONES, "no 0 in 240 rows"),
    "fractional label": ("train", "label", pa.array([0.0, 0.5, 1.0] * 80), "0.5 in row 1, 0.5 in"),
    "label that is no number": ("train", "label", pa.array(["a"] * ROWS), "type string"),
    "user as text": ("train", "user_id", pa.array(["1"] * ROWS), "type string"),
    "item as float": ("train", "item_id", pa.array([1.0] * ROWS), "type double"),
    "history as text": ("train", "item_seq", pa.array(["[1, 2]"] * ROWS), "type string"),
    "history of floats": (
        "train",
        "item_seq",
        lists(np.ones((ROWS, WIDTH)), pa.float64()),
        "type list<element: double>",
    ),
    "content of integers": (
        "item_info",
        "item_emb_d128",
        lists(np.zeros((ITEMS, 128), np.int64), pa.int64()),
        "type list<element: int64>",
    ),
    "another width in valid": (
        "valid",
        "item_seq",
        lists(np.repeat([[0, *[1] * 8]], 60, axis=0), pa.int64()),
        "9 elements in row 0",
    ),
    "items by another order": ("item_info", "item_id", pa.array(IDS[::-1]), "39 in row 0"),
    "an item twice": ("item_feature", "item_id", pa.array([1, *range(1, 38)]), "1 in row 1 (1 row"),
}


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE.keys())
def test_a_wrong_column_is_named(folder, case):
    file, column, array, found = case
    put(folder, file, column, array)
    faults = faults_of(message_of(folder))
    assert len(faults) == 1
    assert faults[0].startswith(f"{file}.parquet: {column}: found {found}")


@pytest.mark.parametrize(
    ("file", "column"),
    [
        ("train", "label"),
        ("valid", "item_seq"),
        ("test", "ID"),
        ("item_info", "item_id"),
        ("item_feature", "views_level"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(folder, file, column):
    path = folder / f"{file}.parquet"
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    (fault,) = faults_of(message_of(folder))
    assert fault.startswith(f"{file}.parquet: {column}: found columns ")


def test_an_empty_file_is_refused(folder):
    path = folder / "test.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert "test.parquet: found 0 rows; expected at least one row" in message_of(folder)


def test_a_file_that_is_no_parquet_is_named(folder):
    (folder / "valid.parquet").write_text("user_id,item_id\n")
    (fault,) = faults_of(message_of(folder))
    assert fault.startswith("valid.parquet: found ")
    assert fault.endswith("expected a parquet file")


@pytest.mark.parametrize("column", [0, 1])
def test_damaged_rows_are_named(folder, column):
    path = folder / "train.parquet"
    start = pq.ParquetFile(path).metadata.row_group(0).column(column).data_page_offset
    damaged = bytearray(path.read_bytes())
    damaged[start : start + 60] = bytes(60)
    path.write_bytes(damaged)
    (fault,) = faults_of(message_of(folder))
    assert fault.startswith("train.parquet: found ")
    assert fault.endswith("(after 0 rows); expected rows that can be read")


def test_a_file_of_other_columns_is_refused(folder):
    pq.write_table(pa.table({"a": [1]}), folder / "train.parquet")
    assert len(faults_of(message_of(folder))) == 6


def test_a_null_in_a_fixed_size_list_is_named(folder):
    values = column_of(folder, "train", "item_seq")
    values[3], values[5] = None, [None, *SEQ[1:]]
    put(folder, "train", "item_seq", pa.array(values, pa.list_(pa.int64(), WIDTH)))
    assert faults_of(message_of(folder)) == [
        "train.parquet: item_seq: found null in row 3 (1 row); expected no nulls",
        "train.parquet: item_seq: found null in row 5 (1 row); expected no nulls in lists",
    ]


def test_every_missing_file_is_listed(folder):
    (folder / "train.parquet").unlink()
    (folder / "item_info.parquet").unlink()
    with pytest.raises(InputError, match=r"train.parquet, item_info.parquet.*data\.dir=FOLDER"):
        schema.files(folder)
    with pytest.raises(InputError, match="does not exist"):
        schema.files(folder / "nowhere")


def test_published_sizes_are_enforced_when_asked_for(folder):
    cell("item_info", "item_tags", 6, [0, 0, 0, 0, 11_740])(folder)
    faults = faults_of(message_of(folder, published_sizes=True))
    assert "train.parquet: found 240 rows; expected the published 3600000 rows" in faults
    assert "valid.parquet: found 60 rows; expected the published 10000 rows" in faults
    assert "test.parquet: found 60 rows; expected the published 379142 rows" in faults
    assert "item_info.parquet: found 40 rows; expected the published 91718 rows" in faults
    assert any("item_tags: found 11740 in row 6" in fault for fault in faults)
    assert len(faults) == 5
    write_store(folder.parent / "store", schema.files(folder), published_sizes=False)


def test_all_faults_of_all_files_come_in_one_message(folder):
    cell("train", "item_id", 3, 99)(folder)
    cell("train", "item_seq", 4, SEQ[1:])(folder)
    cell("train", "item_seq", 5, SEQ[::-1])(folder)
    cell("test", "ID", 1, 0)(folder)
    cell("item_info", "item_emb_d128", 2, [float("nan")] * 128)(folder)
    faults = faults_of(message_of(folder))
    assert [fault.partition(" (1 row)")[0] for fault in faults] == [
        "train.parquet: item_seq: found 0 at position 3 in row 5",
        "train.parquet: item_id: found 99 in row 3",
        "train.parquet: item_seq: found 11 elements in row 4",
        "item_info.parquet: item_emb_d128: found nan in row 2",
        "test.parquet: ID: found 0 in row 1",
    ]


def test_rows_count_through_the_file_and_only_five_are_shown(folder, monkeypatch):
    monkeypatch.setattr("features.store.parquet.BATCH_ROWS", 7)
    levels = np.zeros(ROWS, np.int64)
    levels[[6, 7, 30, 31, 100, 200, 239]] = 11
    put(folder, "train", "likes_level", pa.array(levels))
    (fault,) = faults_of(message_of(folder))
    shown = ", ".join(f"11 in row {row}" for row in (6, 7, 30, 31, 100))
    assert fault == f"train.parquet: likes_level: found {shown} (7 rows); expected 0..10"


def test_without_an_item_table_the_other_files_are_still_checked(folder):
    (folder / "item_info.parquet").write_text("")
    cell("train", "item_id", 3, -4)(folder)
    message = message_of(folder)
    assert "item_info.parquet: found " in message
    assert "train.parquet: item_id: found -4 in row 3" in message
