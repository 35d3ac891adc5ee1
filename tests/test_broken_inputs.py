"""Inputs made to do harm, one by one.

What the mutations of tests/test_hostile.py do not reach: claims of size, pickles, disks, folders.
"""

import ast
import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from features.errors import InputError
from features.sources.microlens_release import files
from features.store import memory_limit, parquet, schema, validators
from features.store.prepare import write_store
from features.store.store import open_store
from pipeline.artifacts import store as artifacts
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config.load import load
from pipeline.inference import checkpoints
from pipeline.runtime import cli, processes
from submissions import archive
from submissions.check import check, read_ids
from tests.helpers.worlds import tiny_challenge

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path):
    return tiny_challenge(tmp_path / "challenge", rows=24, width=4, items=12)


def refusal(folder: Path) -> str:
    store = folder.parent / "store"
    with pytest.raises(InputError) as error:
        write_store(store, schema.files(folder), published_sizes=False)
    assert not store.exists()
    return str(error.value)


def replaced(folder: Path, file: str, column: str, array: pa.Array) -> None:
    path = folder / f"{file}.parquet"
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    pq.write_table(table.set_column(index, column, array), path)


def long_list(rows: int, length: int) -> pa.Array:
    """Short lists but for the first, whose elements take next to no place in a file."""
    offsets = np.concatenate([[0], length + 4 * np.arange(rows)]).astype(np.int64)
    return pa.LargeListArray.from_arrays(offsets, pa.array(np.ones(offsets[-1], np.int8)))


def test_a_list_that_no_memory_holds_is_refused_by_the_footer(folder, monkeypatch):
    """A list of 2^22 stands for one of 10^9: what is refused is what the footer claims."""
    for file, column in (("train", "item_seq"), ("item_info", "item_tags")):
        rows = pq.ParquetFile(folder / f"{file}.parquet").metadata.num_rows
        replaced(folder, file, column, long_list(rows, 2**22))
        assert (folder / f"{file}.parquet").stat().st_size < 2**16
    monkeypatch.setattr(parquet, "MAX_ELEMENTS", 2**20)
    read = []
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda self, rows, columns: (read.append(columns), batches(self, rows, columns=columns))[1],
    )
    said = refusal(folder)
    for where, n in (("train.parquet: item_seq", 24), ("item_info.parquet: item_tags", 12)):
        found = f"{where}: found {2**22 + 4 * (n - 1)} elements in one row group; expected at most"
        assert found in said
    counts = [names.count("item_seq") for names in read]
    assert sum(counts) <= 3  # of valid, for the width and for the rows, and of test
    assert not any("item_tags" in names for names in read)


def varint(number: int) -> bytes:
    """As a footer has it: zigzag, seven bits a byte."""
    number, made = 2 * number, b""
    while number > 127:
        number, made = number >> 7, made + bytes([number & 127 | 128])
    return made + bytes([number])


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


def test_a_footer_that_lies_about_a_long_list_costs_no_more_than_there_is(folder):
    path, length = folder / "train.parquet", 2**26
    table, lists = pq.read_table(path), long_list(24, length)
    table = table.set_column(table.schema.get_field_index("item_seq"), "item_seq", lists)
    pq.write_table(table, path, data_page_size=2**40)
    data = path.read_bytes()
    (size,) = struct.unpack("<I", data[-8:-4])
    footer = data[-8 - size : -8].replace(varint(length + 4 * 23), varint(2**20))
    path.write_bytes(data[: -8 - size] + footer + data[-8:])
    assert parquet.elements(pq.ParquetFile(path), "item_seq") == 2**20
    cli = [sys.executable, "-c", READER, str(folder)]  # this process has memory to reuse
    done = subprocess.run(cli, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert "train.parquet: found " in said
    assert "failed (after 0 rows); expected rows that can be read" in said
    assert not (folder / "store").exists()


def test_the_bound_on_memory_ends_where_it_should(monkeypatch):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(memory_limit, "available", lambda: 100 << 20)
    with memory_limit.bounded():
        with pytest.raises(MemoryError):
            np.empty(1 << 33)
        assert resource.getrlimit(resource.RLIMIT_DATA) != before
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    monkeypatch.undo()
    assert memory_limit.available() > 0


def test_a_list_that_memory_holds_is_refused_while_reading(folder):
    replaced(folder, "train", "item_seq", long_list(24, 10**6))
    assert "train.parquet: item_seq: found 1000000 elements in row 0 (1 row); ex" in refusal(folder)


def test_lists_that_are_too_wide_are_refused(folder):
    wide = pa.array(
        [[1] * (parquet.MAX_WIDTH + 1)] * 24, pa.list_(pa.int8(), parquet.MAX_WIDTH + 1)
    )
    replaced(folder, "train", "item_seq", wide)
    said = refusal(folder)
    assert "found lists of 10001 elements; expected lists of at most 10000 elements" in said
    replaced(folder, "train", "item_seq", wide.cast(pa.list_(pa.int8())))
    said = refusal(folder)
    assert "found lists of 10001 elements; expected lists of at most 10000 elements" in said


def test_long_lists_are_read_in_smaller_batches():
    sink = pa.BufferOutputStream()
    lists = pa.array([[1] * 5000] * 100)
    pq.write_table(pa.table({"a": lists, "b": np.arange(100)}), sink)
    file = pq.ParquetFile(sink.getvalue())
    assert parquet.batch_rows(file, ["a", "b"]) == parquet.BATCH_ELEMENTS // 5000
    assert parquet.batch_rows(file, ["b"]) == parquet.BATCH_ROWS


def test_a_footer_that_claims_other_rows_than_there_are(folder):
    path = folder / "train.parquet"
    data, metadata = path.read_bytes(), pq.ParquetFile(path).metadata
    assert metadata.num_rows == 24
    (length,) = struct.unpack("<I", data[-8:-4])
    footer = data[-8 - length : -8]
    changed = footer.replace(bytes([0x16, 48]), bytes([0x16, 46]), 1)  # zigzag: 24, 23
    path.write_bytes(data[: -8 - length] + changed + data[-8:])
    assert pq.ParquetFile(path).metadata.num_rows == 23
    assert "train.parquet: found 24 rows; expected 23 rows, as its footer says" in refusal(folder)


def test_names_from_a_file_do_not_break_the_line(folder):
    table = pa.table({"a\nerror: fine\x1b[2J": [1], **{f"c{i}" * 50: [1] for i in range(30)}})
    pq.write_table(table, folder / "valid.parquet")
    said = refusal(folder)
    line = next(line for line in said.splitlines() if "valid.parquet: label" in line)
    assert r"a\nerror: fine\x1b[2J" in line
    assert "and 11 more" in line
    assert len(line) < 2000


IDS = np.array([-(2**63), 2**63 - 1, -1, 0])


def test_ids_at_the_ends_of_int64_reach_the_submission(folder, tmp_path):
    ids = np.concatenate([IDS, [5, 7]])
    replaced(folder, "test", "ID", pa.array(ids))
    store = tmp_path / "ids"
    write_store(store, schema.files(folder), published_sizes=False)
    assert open_store(store).test.id.tolist() == ids.tolist()
    assert read_ids(folder / "test.parquet").tolist() == ids.tolist()
    replaced(folder, "test", "ID", pa.array([2**64 - 1, 1, 2, 3, 4, 5], pa.uint64()))
    assert "ID: found 18446744073709551615 in row 0" in refusal(folder)


def bomb(claimed: int, size: int) -> bytes:
    """A zip of `size` zeros that its directory says are `claimed`."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(archive.NAME, bytes(size))
    data = bytearray(sink.getvalue())
    at = data.rindex(archive.ENTRY)
    struct.pack_into("<I", data, at + 16, zlib.crc32(bytes(min(claimed, size))))
    struct.pack_into("<I", data, at + 24, claimed)
    return bytes(data)


def test_a_zip_that_unpacks_to_more_than_it_says_takes_no_more_memory():
    data = bomb(1000, 200 << 20)
    assert len(data) < 1 << 20
    tracemalloc.start()
    try:
        found = archive.extract(data)
    except InputError:
        found = b""
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) <= 1000
    assert peak < 16 << 20


def test_zips_of_too_much_are_refused_before_they_are_opened(tmp_path):
    with pytest.raises(InputError, match="would unpack to 536870913 bytes; expected at most"):
        archive.extract(bomb(archive.MAX_BYTES + 1, 10))
    with pytest.raises(InputError, match="the zip holds more than 1000 files"):
        archive.extract(b"PK" + archive.ENTRY * 1001)
    path = tmp_path / "large.csv"
    with path.open("wb") as stream:
        stream.truncate(archive.MAX_FILE + 1)
    with pytest.raises(InputError, match=r"large.csv has \d+ bytes; expected at most"):
        check(path)
    os.mkfifo(tmp_path / "pipe.csv")
    for endless in (tmp_path / "pipe.csv", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match="is no file"):
            check(endless)


@pytest.mark.parametrize("values", [[0.5, 1.0], ["a", "b"], [True, False]])
def test_ids_that_are_no_integers_are_not_rounded_to_some(tmp_path, values):
    pq.write_table(pa.table({"ID": values}), tmp_path / "test.parquet")
    with pytest.raises(InputError, match="expected integers in ID"):
        read_ids(tmp_path / "test.parquet")


NPY = {
    "cut": lambda good: good[:-5],
    "no magic": lambda good: b"x" + good[1:],
    "empty": lambda good: b"",
    "a shape that no memory holds": lambda good: good.replace(b"(2, 3)", b"(2000000000, 3)", 1),
    "a header that nests": lambda good: good[:10] + b"(" * 100 + good[110:],
    "a negative shape": lambda good: good.replace(b"(2, 3)", b"(-2,3)", 1),
    "a zip": lambda good: b"PK\x03\x04" + good,
    "a pickle": lambda good: pickle.dumps({"a": 1}),
}


def npy_bytes(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()


@pytest.mark.parametrize("harm", NPY.values(), ids=NPY)
def test_arrays_that_are_none(tmp_path, harm):
    path = tmp_path / "text.npy"
    path.write_bytes(harm(npy_bytes(np.ones((2, 3)))))
    with pytest.raises(InputError, match=r"text\.npy: found ") as error:
        files.read_array(path, 2)
    assert "\n" not in str(error.value)


def test_npz_is_no_array_and_float64_may_not_overflow(tmp_path):
    np.savez(tmp_path / "text.npz", a=np.ones((2, 3)))
    (tmp_path / "text.npz").rename(tmp_path / "text.npy")
    with pytest.raises(InputError, match=r"found no plain \.npy"):
        files.read_array(tmp_path / "text.npy", 2)
    np.save(tmp_path / "text.npy", np.full((2, 3), 1e300))
    with pytest.raises(InputError, match="finite float32"):
        files.read_array(tmp_path / "text.npy", 2)


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


def test_a_tensor_of_a_few_bytes_that_claims_terabytes_is_no_checkpoint(tmp_path):
    torch.save({"item.id.weight": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "any.model")
    with pytest.raises(InputError, match="holds no state_dict"):
        checkpoints.load_state(tmp_path / "any.model")


# ---- settings ----


def refused(*words: str, profile: str = "sample") -> str:
    with pytest.raises(InputError) as error:
        load(profile, list(words))
    assert "\0" not in str(error.value)
    return str(error.value)


def test_nul_and_what_is_no_text_is_refused_by_name(tmp_path):
    profile = tmp_path / "mine.toml"
    profile.write_text('extends = "challenge"\n[data]\ndir = "a\\u0000b"\n')
    said = refused(profile=str(profile))
    assert r"data.dir = 'a\x00b' must be plain UTF-8 text, without NUL" in said
    assert "artifacts = 'a\\udcffb' must be plain" in refused("artifacts=a\udcffb")
    said = refused('data.embeddings=["a\\u0000"]', profile="microlens_release")
    assert r"data.embeddings = 'a\x00' must be plain" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[folds]\nn = " + "9" * 5000, "not TOML: Exceeds the limit"),
        ("[folds]\nn = 0x" + "f" * 5000, "not TOML: Exceeds the limit"),
        ("[folds]\nn = " + "[" * 5000, "not TOML: tables or lists in one another, too deep"),
        ("[folds]\nn = 2020-13-45", "not TOML"),
        ("\udcff", "not TOML: 'utf-8' codec"),
        ("[folds]\nn = '3'", "folds.n = '3' must be a whole number"),
        ("[fold]\nn = 3", "unknown key 'fold', did you mean 'folds'?"),
        ("[folds]\nm = 3", "unknown key 'folds.m'"),
        ("folds = 3", "folds = 3 must be a section"),
        ("[qin]\nqnn = 3", "qin.qnn = 3 must be a section"),
    ],
)
def test_a_profile_that_is_wrong_is_refused_with_its_path(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_bytes(f'extends = "sample"\n{text}\n'.encode(errors="surrogateescape"))
    found = refused(profile=str(path))
    assert str(path) in found
    assert said in found
    assert "\n" not in found.removeprefix(str(path))


def test_a_word_brings_no_other_words_along():
    assert "must be a whole number" in refused("folds.n=3\nx=4")


@pytest.mark.parametrize(
    ("profile", "word", "said"),
    [
        ("sample", "data.users=1000000000000", "users must be at most 100000000"),
        ("sample", "data.items=1000000000000", "items must be at most 10000000"),
        ("microlens_release", "data.seed=4294967296", "seed = 4294967296 must be at most"),
        ("microlens_release", "data.history_width=10001", "must be at most 10000"),
        ("microlens_release", "data.tags=1000000000000000000000", "must be at most 10000000"),
        ("sample", "prepare.codes=101", "codes = 101 must be at most 100"),
        ("sample", "train.device=cuda:99999999999", "must be auto, cpu, cuda or cuda:<n>"),
        ("sample", "train.device=cuda:٣", "must be auto, cpu, cuda or cuda:<n>"),
    ],
)
def test_sizes_that_no_machine_has_are_refused(profile, word, said):
    assert said in refused(word, profile=profile)


# ---- disks and folders ----


def place_in(folder: Path) -> ArtifactSpec:
    return ArtifactSpec("10_prepare", "store", folder)


def test_a_folder_that_may_not_be_written_is_named(tmp_path, capsys):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)

    def work():
        with artifacts.write_artifact(place_in(closed / "artifacts")) as out:
            (out / "a").write_text("x")

    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write anywhere
    try:
        code = cli.exit_code(work)
    finally:
        os.seteuid(user)
    said = capsys.readouterr().err
    assert (code, len(said.splitlines())) == (2, 1)
    assert "Permission denied" in said
    assert "artifacts" in said
    assert "fix its permissions, or name others: artifacts=DIR" in said
    assert not list(closed.iterdir())


WRITERS = """
import resource, sys
from pathlib import Path
import numpy, polars, pyarrow, pyarrow.parquet, torch
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.store import write_artifact
from pipeline.runtime import cli

TABLE = pyarrow.table({"a": numpy.random.rand(10**5)})
WRITE = {
    "numpy": lambda path: numpy.save(path, numpy.zeros(10**6)),
    "polars": lambda path: polars.DataFrame({"a": range(10**5)}).write_parquet(path),
    "torch": lambda path: torch.save({"a": torch.rand(10**6)}, path),
    "pyarrow": lambda path: pyarrow.parquet.write_table(TABLE, path),
    "text": lambda path: path.write_text("x" * 10**6),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
for name, write in WRITE.items():
    def work():
        with write_artifact(ArtifactSpec("10_prepare", name, Path(sys.argv[1]))) as out:
            write(out / "a.npy")
    print(name, cli.exit_code(work))
"""


def test_a_disk_that_takes_no_more_is_said_and_nothing_is_published(tmp_path):
    """A limit on the size of files stands for a full disk: writes come back short as there."""
    there = tmp_path / "there"
    cli = [sys.executable, "-c", WRITERS, str(there)]
    done = subprocess.run(cli, cwd=ROOT, capture_output=True, text=True, check=False)
    names = ("numpy", "polars", "torch", "pyarrow", "text")
    assert done.stdout.splitlines() == [f"{name} 2" for name in names], done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(names)
    said = f"error: {there} takes no more: the disk is full or a limit is reached"
    assert all(line.startswith(said) for line in lines)
    assert not list(there.iterdir())


def test_a_stage_on_a_full_disk_says_so(tmp_path):
    words = ["sample", "data.users=300", "data.items=200", f"artifacts={tmp_path / 'made'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.00_data", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, -1)),
    )
    assert done.returncode == 2, done.stderr
    assert "takes no more: the disk is full or a limit is reached" in done.stderr
    assert not [path for path in (tmp_path / "made").rglob("*") if path.is_file()]


def test_too_little_memory_ends_in_a_line(capsys):
    assert cli.exit_code(lambda: np.empty(1 << 50)) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: this machine's memory is not enough")
    assert len(said.splitlines()) == 1


# ---- nothing is unpickled ----

SOURCES = sorted(
    path
    for folder in ("pipeline", "features", "models", "cv", "submissions", "bench")
    for path in (ROOT / folder).rglob("*.py")
)
ALLOWED = {  # call -> the word that makes it safe
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "shutil.unpack"}


def calls(path: Path) -> list[tuple[str, dict[str, object]]]:
    """Every call in a file, by its dotted name, with its constant keyword arguments."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            words = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            found.append((ast.unparse(node.func), words))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_unpickles(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in getattr(node, "names", [])]
        names += [getattr(node, "module", None) or ""]
        assert not UNPICKLERS & {name.split(".")[0] for name in names if isinstance(name, str)}
    for name, words in calls(path):
        assert name not in ("joblib.load", "torch.jit.load", "eval", "exec", "pd.read_pickle")
        if name in ALLOWED:
            word, value = ALLOWED[name]
            assert words.get(word) is value, f"{name} without {word}={value}"


def test_reading_whatever_a_user_is_handed_builds_no_object(folder, tmp_path, monkeypatch):
    """With every way to build objects of a pickle barred, all that reads still reads."""

    def barred(*_, **__):
        raise AssertionError("unpickled")

    torch.save({"a": torch.ones(2)}, tmp_path / "state.pt")
    np.save(tmp_path / "text.npy", np.ones((2, 3)))
    (tmp_path / "ids.csv").write_text("ID,Task2\n0,0.5\n1,0.25\n")
    monkeypatch.setattr(pickle, "load", barred)
    monkeypatch.setattr(pickle, "loads", barred)
    monkeypatch.setattr(pickle, "Unpickler", barred)
    write_store(tmp_path / "store", schema.files(folder), published_sizes=False)
    open_store(tmp_path / "store")
    checkpoints.load_state(tmp_path / "state.pt")
    files.read_array(tmp_path / "text.npy", 2)
    assert check(tmp_path / "ids.csv", read_ids(tmp_path / "ids.csv")).errors == []


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("hostile-code-ran"),))


def test_pickles_in_every_disguise_are_refused_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile, path = pickle.dumps(Hostile()), tmp_path / "x.npy"
    path.write_bytes(hostile)
    for read in (
        lambda: files.read_array(path, 1),
        lambda: checkpoints.load_state(path),
        lambda: read_ids(path),
    ):
        with pytest.raises(InputError):
            read()
    np.save(path, np.array([Hostile()]), allow_pickle=True)
    with pytest.raises(InputError):
        files.read_array(path, 1)
    torch.save(Hostile(), path)
    with pytest.raises(InputError):
        checkpoints.load_state(path)
    assert not Path("hostile-code-ran").exists()


def test_a_footer_over_which_arrow_would_abort_is_refused(tmp_path):
    """Single bits of a footer, the schema's first: some turn a list into what has no lists."""
    path, found = tmp_path / "a.parquet", []
    lists = pa.array([[1, 2], [3]], pa.list_(pa.int64()))
    pq.write_table(pa.table({"a": lists}), path)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer, footer + 48):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        violations = validators.Violations()
        for file in parquet.open_files({"a": path}, violations).values():
            parquet.elements(file, "a")  # aborts, had the file not been looked at before
        try:
            violations.raise_if_any()
        except InputError as error:
            found.append(str(error))
    assert any("a.parquet: found a footer that contradicts itself" in said for said in found)


def test_who_looks_at_footers_ends_with_the_process_that_asked(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    asks = "import sys, time; from pathlib import Path; from features.store import footers\n"
    asks += "assert footers.sound(Path(sys.argv[1])); print(footers._process().pid, flush=True)\n"
    words = [sys.executable, "-c", f"{asks}time.sleep(60)", str(path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as asking:
        looking = int(asking.stdout.readline())
        asking.kill()
    deadline = time.monotonic() + 10
    while processes.started_at(looking):
        assert time.monotonic() < deadline
        time.sleep(0.01)
