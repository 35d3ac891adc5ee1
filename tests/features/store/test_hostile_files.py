"""Parquet files and stores made to do harm: claims of size, damaged footers, names, manifests."""

import json
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.store import memory_limit, parquet, schema, validators
from features.store.prepare import write_store
from features.store.store import open_store
from pipeline.runtime import processes
from submissions.check import read_ids
from tests.helpers.worlds import replace_column, store_refusal, tiny_challenge

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path):
    return tiny_challenge(tmp_path / "challenge", rows=24, width=4, items=12)


def long_list(rows: int, length: int) -> pa.Array:
    """Short lists, and a long first one that takes almost no space in a file."""
    offsets = np.concatenate([[0], length + 4 * np.arange(rows)]).astype(np.int64)
    return pa.LargeListArray.from_arrays(offsets, pa.array(np.ones(offsets[-1], np.int8)))


def test_a_list_too_long_for_memory_is_refused_by_its_footer(folder, monkeypatch):
    """A list of 2^22 elements stands for one of 10^9; the footer's claim is what counts."""
    for file, column in (("train", "item_seq"), ("item_info", "item_tags")):
        rows = pq.ParquetFile(folder / f"{file}.parquet").metadata.num_rows
        replace_column(folder, file, column, long_list(rows, 2**22))
        assert (folder / f"{file}.parquet").stat().st_size < 2**16
    monkeypatch.setattr(parquet, "MAX_ELEMENTS", 2**20)
    columns_read = []
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda self, rows, columns: (
            columns_read.append(columns),
            batches(self, rows, columns=columns),
        )[1],
    )
    message = store_refusal(folder)
    for where, n in (("train.parquet: item_seq", 24), ("item_info.parquet: item_tags", 12)):
        expected = (
            f"{where}: found {2**22 + 4 * (n - 1)} elements in one row group; expected at most"
        )
        assert expected in message
    counts = [names.count("item_seq") for names in columns_read]
    assert sum(counts) <= 3  # of valid, for the width and for the rows, and of test
    assert not any("item_tags" in names for names in columns_read)


def varint(number: int) -> bytes:
    """An integer as a footer stores it: zigzag, seven bits per byte."""
    number, encoded = 2 * number, b""
    while number > 127:
        number, encoded = number >> 7, encoded + bytes([number & 127 | 128])
    return encoded + bytes([number])


READER = """
import sys
from pathlib import Path
from features.errors import InputError
from features.store import memory_limit, schema
from features.store.prepare import write_store

memory_limit.available = lambda: 100 << 20
try:
    write_store(Path(sys.argv[1]) / "store", schema.files(Path(sys.argv[1])), False)
except InputError as error:
    print(error)
"""


def test_a_footer_that_hides_a_long_list_does_not_use_up_the_memory(folder):
    path, length = folder / "train.parquet", 2**26
    table, lists = pq.read_table(path), long_list(24, length)
    table = table.set_column(table.schema.get_field_index("item_seq"), "item_seq", lists)
    pq.write_table(table, path, data_page_size=2**40)
    data = path.read_bytes()
    (size,) = struct.unpack("<I", data[-8:-4])
    footer = data[-8 - size : -8].replace(varint(length + 4 * 23), varint(2**20))
    path.write_bytes(data[: -8 - size] + footer + data[-8:])
    assert parquet.elements(pq.ParquetFile(path), "item_seq") == 2**20
    command = [sys.executable, "-c", READER, str(folder)]  # this process has memory to reuse
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    message = done.stdout + done.stderr
    assert "train.parquet: found " in message
    assert "failed (after 0 rows); expected rows that can be read" in message
    assert not (folder / "store").exists()


def test_the_limit_on_memory_ends_with_its_block(monkeypatch):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(memory_limit, "available", lambda: 100 << 20)
    with memory_limit.bounded():
        with pytest.raises(MemoryError):
            np.empty(1 << 33)
        assert resource.getrlimit(resource.RLIMIT_DATA) != before
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    monkeypatch.undo()
    assert memory_limit.available() > 0


def test_a_list_that_fits_in_memory_is_refused_while_reading(folder):
    replace_column(folder, "train", "item_seq", long_list(24, 10**6))
    assert "train.parquet: item_seq: found 1000000 elements in row 0 (1 row); ex" in store_refusal(
        folder
    )


def test_lists_that_are_too_wide_are_refused(folder):
    wide = pa.array(
        [[1] * (parquet.MAX_WIDTH + 1)] * 24, pa.list_(pa.int8(), parquet.MAX_WIDTH + 1)
    )
    replace_column(folder, "train", "item_seq", wide)
    message = store_refusal(folder)
    assert "found lists of 10001 elements; expected lists of at most 10000 elements" in message
    replace_column(folder, "train", "item_seq", wide.cast(pa.list_(pa.int8())))
    message = store_refusal(folder)
    assert "found lists of 10001 elements, 10001 elements in row 0" in message
    assert "(24 rows); expected lists of at most 10000 elements" in message


def test_long_lists_are_read_in_smaller_batches():
    sink = pa.BufferOutputStream()
    lists = pa.array([[1] * 5000] * 100)
    pq.write_table(pa.table({"a": lists, "b": np.arange(100)}), sink)
    file = pq.ParquetFile(sink.getvalue())
    assert parquet.batch_rows(file, ["a", "b"]) == parquet.BATCH_ELEMENTS // 5000
    assert parquet.batch_rows(file, ["b"]) == parquet.BATCH_ROWS


def test_a_footer_with_a_wrong_number_of_rows(folder):
    path = folder / "train.parquet"
    data, metadata = path.read_bytes(), pq.ParquetFile(path).metadata
    assert metadata.num_rows == 24
    (length,) = struct.unpack("<I", data[-8:-4])
    footer = data[-8 - length : -8]
    changed = footer.replace(bytes([0x16, 48]), bytes([0x16, 46]), 1)  # zigzag: 24, 23
    path.write_bytes(data[: -8 - length] + changed + data[-8:])
    assert pq.ParquetFile(path).metadata.num_rows == 23
    assert "train.parquet: found 24 rows; expected 23 rows, as its footer says" in store_refusal(
        folder
    )


def test_column_names_cannot_break_a_message(folder):
    table = pa.table({"a\nerror: fine\x1b[2J": [1], **{f"c{i}" * 50: [1] for i in range(30)}})
    pq.write_table(table, folder / "valid.parquet")
    message = store_refusal(folder)
    line = next(line for line in message.splitlines() if "valid.parquet: label" in line)
    assert r"a\nerror: fine\x1b[2J" in line
    assert "and 11 more" in line
    assert len(line) < 2000


IDS = np.array([-(2**63), 2**63 - 1, -1, 0])


def test_ids_at_the_limits_of_int64_reach_the_submission(folder, tmp_path):
    ids = np.concatenate([IDS, [5, 7]])
    replace_column(folder, "test", "ID", pa.array(ids))
    store = tmp_path / "ids"
    write_store(store, schema.files(folder), published_sizes=False)
    assert open_store(store).test.id.tolist() == ids.tolist()
    assert read_ids(folder / "test.parquet").tolist() == ids.tolist()
    replace_column(folder, "test", "ID", pa.array([2**64 - 1, 1, 2, 3, 4, 5], pa.uint64()))
    assert "ID: found 18446744073709551615 in row 0" in store_refusal(folder)


MANIFESTS = {
    "a list": [],
    "no arrays": {},
    "a path out of the folder": {"arrays": {"../secret": {}}},
    "an absolute path": {"arrays": {"/etc/passwd": {}}},
    "unknown parts": {"arrays": {}},
    "text": {"arrays": "train/user"},
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_a_folder_that_only_looks_like_a_store(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="describes no store"):
        open_store(tmp_path)


def test_a_footer_that_would_abort_arrow_is_refused(tmp_path):
    """Single bits of a footer are flipped; some make its schema contradict its columns."""
    path, messages = tmp_path / "a.parquet", []
    lists = pa.array([[1, 2], [3]], pa.list_(pa.int64()))
    pq.write_table(pa.table({"a": lists}), path)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer, footer + 48):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        violations = validators.Violations()
        for file in parquet.open_files({"a": path}, violations).values():
            parquet.elements(file, "a")  # would abort if open_files had not looked first
        try:
            violations.raise_if_any()
        except InputError as error:
            messages.append(str(error))
    assert any("a.parquet: found a footer that contradicts itself" in text for text in messages)


def test_the_footer_process_ends_with_the_process_that_started_it(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    code = "import sys, time; from pathlib import Path; from features.store import footers\n"
    code += "assert footers.sound(Path(sys.argv[1])); print(footers._process().pid, flush=True)\n"
    command = [sys.executable, "-c", f"{code}time.sleep(60)", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while processes.started_at(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)
