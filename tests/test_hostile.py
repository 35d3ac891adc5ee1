"""Thousands of inputs that nobody meant.

Each is accepted or refused by an InputError, as a plain reader would have it
(tests/helpers/mutations.py);
it never ends in a traceback, and never takes long or much memory. Printed at the end: how many.
"""

import contextlib
import resource
import time
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import InputError
from features.sources.microlens_release import files as release_files
from features.store import schema
from features.store.prepare import write_store
from features.store.store import open_store
from pipeline.config.load import load
from submissions.check import check
from tests.helpers import mutations as mu
from tests.helpers.worlds import tiny_challenge

SECONDS = 20.0  # of the processor, for one input
MEMORY = 4 << 30  # bytes that a test may take beyond what it has
SIZES = [
    pytest.param("quick", id="quick"),
    pytest.param("long", marks=pytest.mark.long, id="long"),
]


def many(count: int):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def bounded(tally: Counter):
    """Count one input; whatever is no InputError is a traceback."""
    tally["tried"] += 1
    began = time.process_time()
    try:
        yield
        tally["accepted"] += 1
    except InputError as error:
        tally["refused"] += 1
        text = str(error)
        assert text.strip()
        assert text.replace("\n", "").isprintable()
        assert len(text) < 20_000
    except Exception:
        tally["traceback"] += 1
        raise
    assert time.process_time() - began < SECONDS


@contextlib.contextmanager
def little_memory():
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The files that are mutated: tables by name, and the folder."""
    folder = tiny_challenge(
        tmp_path_factory.mktemp("hostile") / "data", rows=24, width=mu.WIDTH, items=mu.ITEMS
    )
    return folder, {name: pq.read_table(folder / f"{name}.parquet") for name in mu.FILES}


def held(folder: Path) -> dict:
    """What a store holds, as plain values."""
    opened = open_store(folder)
    items = opened.items
    found = {"tags": items.tags.tolist(), "content": items.content}
    found |= {"likes_level": items.likes.tolist(), "views_level": items.views.tolist()}
    for name in schema.SPLITS:
        split = getattr(opened, name)
        found[name] = {
            "user_id": split.user.tolist(),
            "item_id": split.item.tolist(),
            "likes_level": split.likes.tolist(),
            "views_level": split.views.tolist(),
            "item_seq": [
                opened.values[opened.offsets[h] : opened.offsets[h + 1]].tolist()
                for h in split.history
            ],
        }
        last, values = ("ID", split.id) if name == "test" else ("label", split.label)
        found[name][last] = values.tolist()
    return found


def equal(store: dict, plain: dict) -> bool:
    content = np.array(plain.pop("content"), np.float32)
    same = np.array_equal(store.pop("content"), content)
    for name in schema.SPLITS:
        plain[name]["item_seq"] = [[i for i in h if i] for h in plain[name]["item_seq"]]
    return same and store == plain


@pytest.mark.parametrize("size", SIZES)
def test_files_of_the_challenge(base, tmp_path, capsys, size):
    folder, tables = base
    whole = {name: (folder / f"{name}.parquet").read_bytes() for name in mu.FILES}
    mu.write_files(tmp_path / "data", whole)
    tally = Counter()

    @many(250 if size == "quick" else 6000)
    @given(mu.changes(tables))
    def run(changed):
        mu.write_files(tmp_path / "data", changed)
        store = tmp_path / f"store-{tally['tried']}"
        accepted = False
        try:
            with bounded(tally):
                write_store(store, schema.files(tmp_path / "data"), published_sizes=False)
                accepted = True
            judge(store if accepted else None, whole | changed, tally)
        finally:
            mu.write_files(tmp_path / "data", {name: whole[name] for name in changed})
        assert accepted == store.exists()

    with little_memory():
        run()
    with capsys.disabled():
        print(mu.count("files of the challenge", tally))


def judge(store: Path | None, files: dict[str, bytes], tally: Counter) -> None:
    """Accepted exactly when a plain reader accepts, and then with the same content."""
    plain, why = None, "a plain reader finds nothing wrong"
    try:
        plain = mu.plainly(files)
    except mu.Refused as error:
        why = str(error)
    right = equal(held(store), plain) if store and plain else not store and not plain
    tally["wrong"] += bool(store) and not right
    assert right, f"{'accepted' if store else 'refused'}, although {why}"


@pytest.mark.parametrize("size", SIZES)
def test_submissions(tmp_path, capsys, size):
    ids = [3, -(2**63), 2**63 - 1, 0, 10]
    tally = Counter()

    @many(600 if size == "quick" else 20_000)
    @given(mu.submissions(ids))
    def run(submission):
        name, data = submission
        path = tmp_path / name
        path.write_bytes(data)
        problem, refused = mu.submission_problem(name, data, ids), True
        with bounded(tally):
            report = check(path, np.array(ids))
            refused = bool(report.errors)
            tally["wrong"] += not refused and problem is not None
            assert all(line.isprintable() for line in report.errors)
            if refused:
                raise InputError("\n".join(report.errors))
        assert refused == (problem is not None), problem or report.errors

    with little_memory():
        run()
    with capsys.disabled():
        print(mu.count("submissions", tally))


TITLES = "item,title\n" + "".join(f"{i},video {i} about # thing\n" for i in range(1, 30))
PAIRS = "user,item,timestamp\n" + "".join(f"{i},{i % 7 + 1},{i * 10}\n" for i in range(30))
HISTORIES = "".join(f"{i}\t{i % 7 + 1} {i % 5 + 1} 9\r\n" for i in range(20))
COUNTS = "".join(f"{i}\t{i * 10}\t{5000 - i}\n" for i in range(1, 30))
RELEASE = {  # file name: reader, bytes, separator
    "a_titles.csv": (release_files.read_titles, TITLES.encode(), ","),
    "a_pairs.csv": (release_files.read_pairs, PAIRS.encode(), ","),
    "a_pairs.tsv": (release_files.read_pairs, HISTORIES.encode(), "\t"),
    "a_likes_and_views.txt": (release_files.read_counts, COUNTS.encode(), "\t"),
}


def expected(name: str, lines: list[list[str]]) -> list[tuple]:
    """What a release's file must become, read without its quotes."""
    if name == "a_pairs.tsv":
        events = [(int(u), int(i)) for u, *items in lines for i in " ".join(items).split()]
        return [(*event, time) for time, event in enumerate(events)]
    if name == "a_titles.csv":
        return [(int(item), *(title or [None])) for item, *title in lines[1:]]
    if name == "a_pairs.csv":
        return sorted({tuple(map(int, line)) for line in lines[1:]})
    return [tuple(int(x) if x else None for x in line + [""] * (3 - len(line))) for line in lines]


@pytest.mark.parametrize("size", SIZES)
def test_files_of_a_release(tmp_path, capsys, size):
    tally = Counter()
    files = st.sampled_from(sorted(RELEASE))

    @many(200 if size == "quick" else 6000)
    @given(files.flatmap(lambda name: st.tuples(st.just(name), mu.garbled(RELEASE[name][1]))))
    def run(named):
        name, data = named
        read, _, separator = RELEASE[name]
        (tmp_path / name).write_bytes(data)
        table = None
        with bounded(tally):
            found = read(tmp_path / name)
            table = found[0] if isinstance(found, tuple) else found
        lines = mu.cells(data, separator) if table is not None else None
        if lines is None:
            return
        rows = table.drop("line", strict=False).rows()
        rows = sorted(rows) if name == "a_pairs.csv" else rows
        same = rows == expected(name, lines)
        tally["wrong"] += not same
        assert same, (rows, expected(name, lines))

    run()
    with capsys.disabled():
        print(mu.count("files of a release", tally))


def setting(s, key: str) -> list:
    """The values of a dotted key, one for each network that it is said of."""
    head, _, rest = key.partition(".")
    if head in s.networks:
        found = [s.networks[head]]
    elif head == "network":
        found = list(s.networks.values())
    else:
        found, rest = [s], key
    for part in rest.split("."):
        found = [getattr(each, part) for each in found]
    return found


def agrees(value, text: str) -> bool:
    """Whether a setting holds what a word says."""
    said = [text]
    with contextlib.suppress(ValueError, RecursionError):
        tree = tomllib.loads(f"v = {text}")
        said += [tree["v"]] if tree.keys() == {"v"} else []
    if isinstance(value, tuple):
        told = [w.split(",") if isinstance(w, str) else w for w in said]
        told = [w if isinstance(w, list) else [w] for w in told]
        return any([str(x) for x in value] == [str(x) for x in w if x != ""] for w in told)
    return any(
        value == w and (type(value) is type(w) or (type(value), type(w)) == (float, int))
        for w in said
    )


@pytest.mark.parametrize("size", SIZES)
def test_words(capsys, size):
    tally = Counter()

    @many(400 if size == "quick" else 6000)
    @given(mu.settings_words())
    def run(words):
        s = None
        with bounded(tally):
            s = load("sample", words)
        if s is None:
            return
        for key, text in dict(word.split("=", 1) for word in words).items():
            if key == "data.source" or key.split(".")[0] in {"qin", "din", "final"} - {*s.networks}:
                continue
            fine = all(agrees(value, text) for value in setting(s, key))
            tally["wrong"] += not fine
            assert fine, f"{key}={text!r} became {setting(s, key)}"
        assert 2 <= s.folds.n <= 127
        assert s.folds.seed >= 0
        assert "\0" not in s.artifacts + s.submissions

    run()
    with capsys.disabled():
        print(mu.count("words", tally))
