"""Text files are UTF-8 in every locale, and no locale ends a run."""

import ast

import pytest

from pipeline import graph
from pipeline.config import load as load_config
from pipeline.reporting import leaderboard
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
    command = ("pipeline.80_report", "sample", *overrides, "--force")
    run(*command, "--sentence", "café, naïve", shell=False)
    board, report = graph.board(s), leaderboard.report_spec(s).path
    files = [board, board.with_name("LEADERBOARD.md"), report / "report.html"]
    before = [path.read_bytes() for path in files]
    output = run(*command, shell=False, **ASCII)
    assert "CV \\xb1 sd" in output
    assert [path.read_bytes() for path in files] == before
    assert not list(board.parent.glob("LEADERBOARD-old*"))
    output = run(*command, "--sentence", "café", code=2, shell=False, **ASCII)
    assert "'caf\\udcc3\\udca9' is no text in this locale (ascii)" in output


def test_the_checker_prints_any_name_in_ascii(tmp_path):
    missing = str(tmp_path / "café.zip")
    output = run("submissions.check", missing, code=2, shell=False, PYTHONIOENCODING="ascii")
    assert "caf\\xe9.zip cannot be read" in output
