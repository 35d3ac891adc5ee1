"""bench.gpu.runner: budgets, failures, and what a run that is cut off leaves."""

import json
from pathlib import Path

import psutil
import pytest

from bench.gpu import runner
from bench.gpu.runner import Part
from bench.gpu.scale import TOY_SCALE

MACHINE = {"card": "none", "commit": "abc"}


def part(name: str, budget: float = 60) -> Part:
    return Part(name, f"tests.helpers.gpu_parts:{name}", name.replace("_", " "), budget)


def run(*parts: Part, out: Path, seconds: float = 60) -> tuple[list, dict, str]:
    results = runner.run(parts, TOY_SCALE, seconds, out, MACHINE)
    return results, json.loads((out / "gpu.json").read_text()), (out / "gpu.md").read_text()


def test_rows_stand_in_both_files_in_order(tmp_path):
    (result,), written, text = run(part("two_rows"), out=tmp_path)
    assert result.state == "done"
    assert not result.wrong
    assert written["machine"] == MACHINE
    assert [row["what"] for row in written["parts"][0]["rows"]] == ["first", "second"]
    assert "### two rows" in text
    assert "| first | 0.25 | yes |" in text
    assert "| second | — | yes |" in text


def test_a_part_that_fails_keeps_its_rows_and_the_next_one_runs(tmp_path, capsys):
    (failed, done), written, text = run(part("raises"), part("two_rows"), out=tmp_path)
    assert (failed.state, done.state, failed.wrong) == ("failed", "done", True)
    assert failed.rows == [{"what": "before"}]
    assert "RuntimeError: no such kernel" in text
    assert "RuntimeError: no such kernel" in written["parts"][0]["reason"]
    assert "RuntimeError: no such kernel" in capsys.readouterr().out


def test_a_part_whose_process_is_killed_has_failed(tmp_path):
    (result, done), *_ = run(part("killed"), part("two_rows"), out=tmp_path)
    assert (result.state, result.rows, done.state) == ("failed", [{"what": "before"}], "done")


def test_a_budget_that_is_spent_ends_the_part_and_the_processes_that_it_started(tmp_path):
    run(part("two_rows"), out=tmp_path)  # from now on, processes start quickly
    (slow, done), _, text = run(part("never_ends", 5), part("two_rows"), out=tmp_path)
    assert slow.seconds < 30
    assert (slow.state, done.state, slow.wrong) == ("cut off", "done", False)
    (row,) = slow.rows
    assert not psutil.pid_exists(row["child"]) or (
        psutil.Process(row["child"]).status() == psutil.STATUS_ZOMBIE
    )
    assert "cut off" in text


def test_rows_are_written_as_soon_as_they_are_found(tmp_path, monkeypatch):
    seen = []
    write = runner.write

    def spy(results, machine, out):
        write(results, machine, out)
        seen.append(
            sum(len(r["rows"]) for r in json.loads((out / "gpu.json").read_text())["parts"])
        )

    monkeypatch.setattr(runner, "write", spy)
    run(part("two_rows"), out=tmp_path)
    assert seen == [0, 1, 2, 2]


def test_parts_are_skipped_when_the_time_of_all_is_spent(tmp_path):
    run(part("two_rows"), out=tmp_path)
    results, _, text = run(part("never_ends", 40), part("two_rows"), out=tmp_path, seconds=6)
    assert [result.state for result in results] == ["cut off", "skipped"]
    assert "the time is spent" in text


def test_a_check_that_does_not_hold_is_wrong(tmp_path):
    (result,), _, text = run(part("wrong_row"), out=tmp_path)
    assert result.state == "done"
    assert result.wrong
    assert "| sum | no |" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "—"), (True, "yes"), (1234567, "1,234,567"), (0.0, "0"), (1e-9, "1.00e-09"),
     (12.3456, "12.346"), ("x", "x")],
)  # fmt: skip
def test_cells(value, text):
    assert runner.cell(value) == text
