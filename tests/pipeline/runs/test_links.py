"""The report beside the zip, and the link to the last run."""

import os

import pytest

from features.errors import InputError
from features.store.atomic import hidden_name
from pipeline.runs import links


@pytest.fixture
def runs(tmp_path):
    """Folders of two submissions, each with the report that belongs beside it."""
    found = {}
    for name in ("research-1", "research-2"):
        folder, report = tmp_path / "s" / name, tmp_path / "a" / name / "report.html"
        folder.mkdir(parents=True)
        report.parent.mkdir(parents=True)
        report.write_text(name)
        found[folder] = report
    return found


def test_the_report_lies_beside_the_zip_and_latest_is_the_last_run(runs, tmp_path):
    for folder, report in runs.items():
        for _ in range(2):
            assert links.publish(folder, report) == folder / "report.html"
            assert (folder / "report.html").samefile(report)
            assert os.readlink(tmp_path / "s" / "latest") == folder.name
            assert (tmp_path / "s" / "latest" / "report.html").read_text() == folder.name
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "latest",
        "research-1",
        "research-2",
    ]
    (tmp_path / "s").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "latest" / "report.html").exists()


def test_a_new_report_replaces_the_old_one_and_leaves_its_bytes_alone(runs, tmp_path):
    folder, report = next(iter(runs.items()))
    links.publish(folder, report)
    newer = report.with_name("newer.html")
    newer.write_text("newer")
    links.publish(folder, newer)
    assert (folder / "report.html").read_text() == "newer"
    assert report.read_text() == folder.name


def test_without_links_the_report_is_copied_and_the_missing_one_is_named(
    runs, tmp_path, monkeypatch, capsys
):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    folder, report = next(iter(runs.items()))
    links.publish(folder, report)
    assert (folder / "report.html").read_text() == folder.name
    assert not (folder / "report.html").samefile(report)
    assert "latest cannot be made (Operation not supported)" in capsys.readouterr().out
    assert not (tmp_path / "s" / "latest").exists()


def test_what_is_no_link_of_ours_stays(runs, tmp_path):
    (tmp_path / "s" / "latest").mkdir()
    folder, report = next(iter(runs.items()))
    with pytest.raises(InputError, match="latest is not a symbolic link: move it away"):
        links.publish(folder, report)


def test_a_process_killed_before_the_rename_leaves_the_old_link(runs, tmp_path, monkeypatch):
    (first, report), (second, other) = runs.items()
    links.publish(first, report)

    def killed(*_):
        raise KeyboardInterrupt

    dead = hidden_name(tmp_path / "s" / "latest").with_suffix(f".{2**22 + 1}")
    with monkeypatch.context() as patch:
        patch.setattr(links, "hidden_name", lambda link: dead)
        patch.setattr(links.Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            links._point(tmp_path / "s" / "latest", second.name)
    assert os.readlink(tmp_path / "s" / "latest") == first.name
    assert dead.is_symlink()
    links.publish(second, other)
    assert os.readlink(tmp_path / "s" / "latest") == second.name
    assert not list((tmp_path / "s").glob(".*"))
