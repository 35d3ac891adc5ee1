"""Text files are UTF-8 in every locale, and no locale ends a run."""

import ast
from argparse import ArgumentTypeError
from importlib import import_module

import pytest

from pipeline import graph
from pipeline.config import load as load_config
from pipeline.reporting import leaderboard
from pipeline.runtime import cli
from tests.helpers.tiny_runs import ROOT, run

CODE = ("pipeline", "features", "models", "cv", "submissions", "bench")
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize("folder", CODE)
def test_code_names_the_encoding_of_every_text_file(folder):
    """ruff's PLW1514 sees only the paths whose type it can infer."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("read_text", "write_text")
        and "encoding" not in {keyword.arg for keyword in node.keywords}
    ]
    assert calls == []


def test_a_report_in_ascii_writes_the_same_files(first_run, overrides, tmp_path):
    """The table's ± was a UnicodeEncodeError; a board with an é was read as the locale has it."""
    s = load_config.load("sample", overrides)
    import_module("pipeline.80_report").work(s, True, sentence="café, naïve")
    board, report = graph.board(s), leaderboard.report_spec(s).path
    files = [board, board.with_name("LEADERBOARD.md"), report / "report.html"]
    before = [path.read_bytes() for path in files]
    command = ("pipeline.80_report", "sample", *overrides, "--force")
    output = run(*command, shell=False, **ASCII)
    assert "CV \\xb1 sd" in output
    assert [path.read_bytes() for path in files] == before
    assert not list(board.parent.glob("LEADERBOARD-old*"))


def test_bytes_that_are_no_text_in_the_locale_are_refused():
    with pytest.raises(ArgumentTypeError, match=r"'caf\\udcc3\\udca9' is no text in this locale"):
        cli.text("caf\udcc3\udca9")


def test_the_checker_prints_any_name_in_ascii(tmp_path):
    missing = str(tmp_path / "café.zip")
    output = run("submissions.check", missing, code=2, shell=False, PYTHONIOENCODING="ascii")
    assert "caf\\xe9.zip cannot be read" in output
