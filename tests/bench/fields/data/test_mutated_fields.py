"""The store of fields from mutated csv files: as a plain reader says, or refused."""

import shutil
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.fields.data.schema import find
from bench.fields.data.store import open_fields
from bench.fields.data.writing import stored
from tests.helpers.mutations import trials
from tests.helpers.mutations.field_files import (
    SCHEMA,
    assert_holds,
    field_files,
    packed,
    read_plainly,
)
from tests.helpers.mutations.plain_store import InvalidFiles


def assert_as_plain_reader(store: Path | None, files: dict[str, bytes], tally: Counter) -> None:
    """`store` is None where the files were refused."""
    plain, reason = None, "a plain reader finds nothing wrong"
    try:
        plain = read_plainly(files, SCHEMA)
    except InvalidFiles as error:
        reason = str(error)
    tally["wrong"] += bool(store) and not plain
    assert bool(store) == bool(plain), f"{'accepted' if store else 'refused'}, although {reason}"
    if store is None or plain is None:
        return
    data = open_fields(store)
    assert_holds(data, plain)


@trials.QUICK_AND_LONG
def test_mutated_files_of_fields(tmp_path, capsys, size):
    tally = Counter()

    @trials.examples(30 if size == "quick" else 6000)
    @given(field_files(), st.booleans())
    def run(files, is_packed):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        (tmp_path / "data").mkdir()
        for split, data in files.items():
            path = tmp_path / "data" / f"{split}.csv{'.gz' * is_packed}"
            path.write_bytes(packed(data) if is_packed else data)
        out, store = tmp_path / f"out-{tally['tried']}", None
        with trials.one_input(tally):
            store = stored(find(tmp_path / "data"), SCHEMA, out)
        assert [path.name for path in out.glob("*")] == ([store.name] if store else [])
        assert_as_plain_reader(store, files, tally)
        shutil.rmtree(out, ignore_errors=True)

    with trials.limited_memory():
        run()
    with capsys.disabled():
        print(trials.summary("files of fields", tally))
