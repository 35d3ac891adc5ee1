"""The release's readers on mutated files: an accepted table is what a plain reader makes of it."""

import codecs
from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from features.sources.microlens_release import files
from tests.helpers.mutations import release_files, trials

TITLES = "item,title\n" + "".join(f"{i},video {i} about # thing\n" for i in range(1, 30))
PAIRS = "user,item,timestamp\n" + "".join(f"{i},{i % 7 + 1},{i * 10}\n" for i in range(30))
HISTORIES = "".join(f"{i}\t{i % 7 + 1} {i % 5 + 1} 9\r\n" for i in range(20))
COUNTS = "".join(f"{i}\t{i * 10}\t{5000 - i}\n" for i in range(1, 30))
RELEASE = {  # file name: reader, bytes, separator
    "a_titles.csv": (files.read_titles, TITLES.encode(), ","),
    "a_pairs.csv": (files.read_pairs, PAIRS.encode(), ","),
    "a_pairs.tsv": (files.read_pairs, HISTORIES.encode(), "\t"),
    "a_likes_and_views.txt": (files.read_counts, COUNTS.encode(), "\t"),
}


def expected_rows(name: str, lines: list[list[str]]) -> list[tuple]:
    """The rows of the table that a file without quotes must become."""
    if name == "a_pairs.tsv":
        events = [(int(u), int(i)) for u, *items in lines for i in " ".join(items).split()]
        return [(*event, time) for time, event in enumerate(events)]
    if name.endswith(".csv") and not lines[0][0].isdecimal():
        lines = lines[1:]  # without the header, which may be missing
    if name == "a_titles.csv":
        return [(int(item), *(title or [None])) for item, *title in lines]
    if name == "a_pairs.csv":
        return sorted({tuple(map(int, line)) for line in lines})
    return [
        tuple(int(x) if x.strip() else None for x in line + [""] * (3 - len(line)))
        for line in lines
    ]


@trials.QUICK_AND_LONG
def test_mutated_files_of_a_release(tmp_path, capsys, size):
    tally = Counter()
    names = st.sampled_from(sorted(RELEASE))
    mutated = names.flatmap(
        lambda name: st.tuples(st.just(name), release_files.with_garbage(RELEASE[name][1]))
    )

    @trials.examples(200 if size == "quick" else 6000)
    @given(mutated)
    @example(("a_likes_and_views.txt", codecs.BOM_UTF8 + COUNTS.encode()))
    @example(("a_pairs.csv", codecs.BOM_UTF8 + PAIRS.encode()))
    def run(file):
        name, data = file
        read, _, separator = RELEASE[name]
        (tmp_path / name).write_bytes(data)
        table = None
        with trials.one_input(tally):
            result = read(tmp_path / name)
            table = result[0] if isinstance(result, tuple) else result
        lines = release_files.cells(data, separator) if table is not None else None
        if lines is None:
            return
        rows = table.drop("line", strict=False).rows()
        rows = sorted(rows) if name == "a_pairs.csv" else rows
        expected = expected_rows(name, lines)
        tally["wrong"] += rows != expected
        assert rows == expected

    run()
    with capsys.disabled():
        print(trials.summary("files of a release", tally))
