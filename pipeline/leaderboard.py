"""submissions/LEADERBOARD.md: one row for every submission, ours to read and to keep."""

import datetime
import json
from pathlib import Path

from pipeline import scores

HEADER = """# Leaderboard

One row a submission, written by `80_report`; `--public` adds the public score.

| date | submission | commit | rules | blend | runs | CV ± sd | valid | hidden | Bayes | public |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
N_CELLS = 11


def record(board: Path, submission: Path, judged: dict, public: float | None) -> None:
    """Append the row of `submission` (its folder), or set the public score of the row it has."""
    text = board.read_text() if board.exists() else HEADER
    name = f"{submission.parent.name}/{submission.name}"
    lines = text.splitlines()
    mine = [i for i, line in enumerate(lines) if _cells(line)[1:2] == [name]]
    if not mine:
        lines.append(_row(name, submission, judged, public))
    elif public is not None:
        cells = _cells(lines[mine[0]])
        lines[mine[0]] = _line([*cells[: N_CELLS - 1], f"{public:.5f}"])
    else:
        return
    written = board.with_name(f".{board.name}")
    board.parent.mkdir(parents=True, exist_ok=True)
    written.write_text("\n".join(lines) + "\n")
    written.rename(board)


def _row(name: str, submission: Path, judged: dict, public: float | None) -> str:
    manifest = json.loads((submission / "manifest.json").read_text())
    best = scores.shipped(judged)
    cv = "-" if best["cv"] is None else f"{best['cv']:.5f} ± {best['sd']:.5f}"
    figures = [best["valid"], best["hidden"], judged["bayes"], public]
    models = sorted({run.split("-")[0] for run in manifest["runs"]})
    return _line([
        datetime.date.today().isoformat(), name, manifest["commit"], manifest["rules"],
        manifest["blend"], f"{len(manifest['runs'])} fits: {', '.join(models)}", cv,
        *("-" if figure is None else f"{figure:.5f}" for figure in figures),
    ])  # fmt: skip


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
