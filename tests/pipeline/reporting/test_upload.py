"""Where a run's zip goes."""

from pipeline import graph
from pipeline.config.load import load
from pipeline.reporting import upload


def test_runs_of_the_competitions_data_are_uploaded_and_others_are_practice():
    assert upload.where(load("microlens_1m", []))[0].startswith(f"to {upload.COMPETITION}")
    for s in (load("sample", []), load("challenge", ["data.dir=elsewhere"])):
        practice, address = upload.where(s)
        assert practice == "for practice only: runs of profile microlens_1m go to"
        assert address == upload.COMPETITION


def test_the_zip_comes_first(monkeypatch, tmp_path):
    class Submission:
        path = tmp_path

    monkeypatch.setattr(graph, "submission", lambda s: Submission)
    first, *below = upload.as_text(load("sample", [])).splitlines()
    assert first == f"upload: {tmp_path}/submission.zip"
    assert all(len(line) < 80 for line in below)
