"""What cleaning leaves of a whole run is the whole run."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest

from pipeline import graph
from pipeline.config import load as load_config
from pipeline.reporting import leaderboard
from pipeline.runs import command
from tests.helpers.tiny_runs import last_line

runner = import_module("pipeline.__main__")


def test_a_kept_run_has_nothing_to_build_and_an_open_report_after_cleaning(
    first_run, overrides, tmp_path, capsys
):
    names = ("artifacts", "submissions")
    for name, typed in zip(names, overrides[-2:], strict=True):
        shutil.copytree(typed.partition("=")[2], tmp_path / name, symlinks=True)
    folders = [f"{name}={tmp_path / name}" for name in names]
    s, run = load_config.load("sample", [*overrides, *folders]), last_line(first_run)["run"]
    fit = next(iter(graph.fits(s).values())).path
    of_none = shutil.copytree(fit, fit.with_name("din-seed7-fold0-00000000"))
    record = of_none / "artifact.json"
    record.write_text(record.read_text().replace('"made": "2', '"made": "1'))
    digest = graph.digest(graph.fits(s)[next(iter(graph.fits(s)))])
    record.write_text(record.read_text().replace(digest, "of no run"))
    with pytest.raises(SystemExit) as ended:
        command.main(["clean", run, "--keep", "1", *folders])
    assert ended.value.code == 0
    assert f"{of_none}\n" in capsys.readouterr().out
    assert not of_none.exists()
    assert all(runner.is_done(s, stage) for stage in graph.stages(s))
    assert (Path(s.submissions) / "sample" / run / "report.html").is_file()
    assert (leaderboard.report_spec(s).path / "report.html").is_file()
