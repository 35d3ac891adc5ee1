"""10_prepare on mutated files: it accepts what a plain reader accepts, with the same contents."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from features.store import schema
from features.store.prepare import write_store
from features.store.store import open_store
from tests.helpers.mutations import challenge_files, trials
from tests.helpers.mutations.plain_store import InvalidFiles, read_plainly
from tests.helpers.worlds import tiny_challenge


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The folder whose files are mutated, and its tables by name."""
    folder = tiny_challenge(
        tmp_path_factory.mktemp("hostile") / "data",
        rows=24,
        width=challenge_files.WIDTH,
        items=challenge_files.ITEMS,
    )
    tables = {name: pq.read_table(folder / f"{name}.parquet") for name in challenge_files.FILES}
    return folder, tables


def store_contents(folder: Path) -> dict:
    """What a store holds, as plain values."""
    opened = open_store(folder)
    items = opened.items
    contents = {"tags": items.tags.tolist(), "content": items.content}
    contents |= {"likes_level": items.likes.tolist(), "views_level": items.views.tolist()}
    for name in schema.SPLITS:
        split = getattr(opened, name)
        contents[name] = {
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
        contents[name][last] = values.tolist()
    return contents


def equal(store: dict, plain: dict) -> bool:
    """Whether both hold the same; the store has no padding and float32 content."""
    content = np.array(plain.pop("content"), np.float32)
    same_content = np.array_equal(store.pop("content"), content)
    for name in schema.SPLITS:
        plain[name]["item_seq"] = [[i for i in h if i] for h in plain[name]["item_seq"]]
    return same_content and store == plain


def assert_as_plain_reader(store: Path | None, files: dict[str, bytes], tally: Counter) -> None:
    """`store` is None where 10_prepare refused `files`."""
    plain, reason = None, "a plain reader finds nothing wrong"
    try:
        plain = read_plainly(files)
    except InvalidFiles as error:
        reason = str(error)
    right = bool(store) == bool(plain)
    if store and plain:
        right = equal(store_contents(store), plain)
    tally["wrong"] += bool(store) and not right
    assert right, f"{'accepted' if store else 'refused'}, although {reason}"


@trials.QUICK_AND_LONG
def test_mutated_files_of_the_challenge(original, tmp_path, capsys, size):
    folder, tables = original
    intact = {n: (folder / f"{n}.parquet").read_bytes() for n in challenge_files.FILES}
    challenge_files.write_files(tmp_path / "data", intact)
    tally = Counter()

    @trials.examples(250 if size == "quick" else 6000)
    @given(challenge_files.mutated_files(tables))
    def run(mutated):
        challenge_files.write_files(tmp_path / "data", mutated)
        store = tmp_path / f"store-{tally['tried']}"
        accepted = False
        try:
            with trials.one_input(tally):
                write_store(store, schema.files(tmp_path / "data"), published_sizes=False)
                accepted = True
            assert_as_plain_reader(store if accepted else None, intact | mutated, tally)
        finally:
            challenge_files.write_files(tmp_path / "data", {name: intact[name] for name in mutated})
        assert accepted == store.exists()

    with trials.limited_memory():
        run()
    with capsys.disabled():
        print(trials.summary("files of the challenge", tally))
