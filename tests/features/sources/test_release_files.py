"""Whatever is wrong with a release's files is named with file and line."""

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from features.settings import ReleaseSettings
from features.sources.microlens_release import paths
from tests.helpers.release import (
    LARGEST,
    convert,
    csv,
    file_bytes,
    titles,
    tsv,
    write_release,
)


@pytest.fixture
def source(tmp_path):
    return write_release(tmp_path / "source")


FAULTS = {  # file, what is replaced, by what, parts of the message
    "item text": ("pairs.tsv", tsv(), "1\t2 3\n2\t4 x5 6\n", ["pairs.tsv", "'x5' (line 2)"]),
    "item zero": ("pairs.tsv", tsv(), "1\t2 3\n\n2\t0 6\n", ["'0' (line 3)", "from 1"]),
    "user text and item text": ("pairs.tsv", tsv(), "u\t2 y\n", ["'u' (line 1)", "'y' (line 1)"]),
    "no tab": ("pairs.tsv", tsv(), "1 2 3\n", ["'1 2 3' (line 1)"]),
    "second tab": ("pairs.tsv", tsv(), "1\t2\t3\n", ["'3' (line 1)", "2 columns"]),
    "user twice": ("pairs.tsv", tsv(), "1\t2 3\n1\t4 5\n", ["'1' (line 2)", "every user once"]),
    "no events": ("pairs.tsv", tsv(), "1\t\n2\t\n", ["no events"]),
    "empty file": ("titles.csv", titles(), "", ["titles.csv", "'item,title'"]),
    "header": ("titles.csv", "item,title", "id,title", ["line 1", "'item,title'"]),
    "id of a title": ("titles.csv", "\n2,", "\ntwo,", ["'two' (line 3)"]),
    "line after a broken title": ("titles.csv", "plain words", 'a\n\nb"\nz,"c', ["'z' (line 5)"]),
    "item twice": ("titles.csv", "\n2,", "\n1,", ["'1' (line 3)", "every item once"]),
    "comma without quotes": ("titles.csv", '"plain words, no tag"', "a, b", ["' b' (line 2)"]),
    "open quote": ("titles.csv", 'no tag"', "no tag", ["titles.csv", "quotes"]),
    "not UTF-8": ("titles.csv", "plain words", "\udcff", ["titles.csv", "line 2", "UTF-8"]),
    "no words": ("titles.csv", titles(), 'item,title\n1,"?"\n', ["no words", "data.embeddings"]),
    "counts": ("likes_and_views.txt", "\t20\t", "\t2k\t", ["likes is '2k' (line 2)"]),
    "counts twice": ("likes_and_views.txt", "2\t20", "1\t20", ["'1' (line 2)"]),
}


@pytest.mark.parametrize(("name", "old", "new", "parts"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named_with_file_and_line(source, name, old, new, parts):
    path = source / f"Tiny_{name}"
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode(errors="surrogateescape"))
    with pytest.raises(InputError) as error:
        convert(source)
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_faults_of_several_files_come_in_one_message(source):
    (source / "Tiny_pairs.tsv").write_text("1\tx\n")
    (source / "Tiny_titles.csv").write_text("item,title\ny,z\n")
    with pytest.raises(InputError, match=r"(?s)pairs.tsv.*titles.csv"):
        convert(source)


def test_the_columns_of_the_csv_are_checked(source):
    (source / "Tiny_pairs.csv").write_text("user,item,timestamp\n1,2,3\n1,2\n1,4,2020-01-01\n")
    with pytest.raises(InputError, match=r"nothing \(line 3\), '2020-01-01' \(line 4\)"):
        convert(source)


def test_missing_and_ambiguous_files_are_named_together(source, tmp_path):
    (source / "Tiny_pairs.tsv").unlink()
    (source / "Other_titles.csv").write_text(titles())
    settings = ReleaseSettings(dir=str(source), embeddings=(str(tmp_path / "no.npy"),))
    with pytest.raises(InputError) as error:
        paths.find(settings.dir, settings.embeddings)
    parts = ["*_pairs.csv or *_pairs.tsv", "Other_titles.csv, Tiny_titles.csv", "no.npy"]
    assert all(part in str(error.value) for part in parts)
    for folder in ("", str(tmp_path / "nowhere")):
        with pytest.raises(InputError, match=r"data\.dir=FOLDER"):
            paths.find(folder, ())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((LARGEST - 1, 4)), "expected floats"),
        (np.zeros(LARGEST), "expected floats"),
        (np.zeros((LARGEST, 4), int), "expected floats"),
        (np.full((LARGEST, 4), np.nan), "NaN"),
        (np.array([{}] * LARGEST), "no plain .npy"),
    ],
    ids=["rows", "flat", "integers", "NaN", "pickled"],
)
def test_arrays_that_do_not_fit_are_refused(source, tmp_path, array, message):
    np.save(tmp_path / "text.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        convert(source, embeddings=(str(tmp_path / "text.npy"),))


@pytest.mark.parametrize("name", ["MicroLens-100k_title_en.csv", "100k_titles.csv"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_titles_of_other_releases_are_read_by_their_name_and_without_a_header(source, name, bom):
    _, report = convert(source)
    expected = file_bytes(source.parent / "out")
    text = titles().partition("\n")[2]
    (source / "Tiny_titles.csv").unlink()
    (source / name).write_text(bom + text, encoding="utf-8")
    assert convert(source, "again")[1] == report
    assert file_bytes(source.parent / "again") == expected


def test_events_without_a_header_are_read(source):
    (source / "Tiny_pairs.csv").write_text(csv())
    _, report = convert(source)
    (source / "Tiny_pairs.csv").write_text(csv().partition("\n")[2])
    assert convert(source, "again")[1] == report


def test_what_a_folder_holds_instead_is_named(source):
    (source / "Tiny_titles.csv").rename(source / "Tiny_captions.csv")
    with pytest.raises(InputError, match=r"\*_title_en\.csv, found none; the .*Tiny_captions.csv"):
        convert(source)


def test_a_release_without_a_hashtag_has_no_tags(source):
    path = source / "Tiny_titles.csv"
    path.write_text(path.read_text().replace("#", ""))
    out, _ = convert(source)
    tags = pl.read_parquet(out / "challenge" / "item_info.parquet")["item_tags"]
    assert tags.list.sum().sum() == 0
