"""submissions/LEADERBOARD.md: one row for every submission, ours to read and to keep.

What stands above and below the table is left alone; a table of fewer columns gains the others.
"""

import datetime
import json
import re
from pathlib import Path

from features.store.atomic import atomic_file
from pipeline import graph
from pipeline.artifacts.locks import locked
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config.settings import Settings
from pipeline.reporting.tuned import of_tuned

TITLE = """# Leaderboard

One row a submission, written by `80_report`; `--public` adds the public score, `--sentence` a word.
"""
COLUMNS = (
    "date", "submission", "commit", "rules", "blend", "runs",
    "CV ± sd", "valid", "hidden", "Bayes", "public", "sentence",
)  # fmt: skip
UNKNOWN = "-"

Row = dict[str, str]  # column -> cell


def record(
    board: Path,
    submission: Path,
    judged: dict,
    public: float | None = None,
    sentence: str | None = None,
) -> None:
    """Append the row of `submission` (its folder), or set `public` and `sentence` in its row.

    Without a `sentence`, a new row says what the blend is made of and what it gained.
    """
    there = any(row["submission"] == name_of(submission) for row in _read(board)[1])
    if there and public is None and sentence is None:
        return
    with locked(board.with_name(f".{board.name}.lock"), f"80_report {board}"):
        _record(board, submission, judged, public, sentence)


def _record(
    board: Path, submission: Path, judged: dict, public: float | None, sentence: str | None
) -> None:
    above, rows, below = _read(board)
    name = name_of(submission)
    row = next((row for row in rows if row["submission"] == name), None)
    if row is None:
        row = _row(name, submission, judged)
        rows.append(row)
    if public is not None:
        row["public"] = f"{public:.5f}"
    if sentence is not None:
        row["sentence"] = " ".join(sentence.split()) or UNKNOWN
    with atomic_file(board) as scratch:
        scratch.write_text("\n".join([*above, *_table(rows), *below]) + "\n")


def rows_of(board: Path, profile: str) -> list[Row]:
    """The rows of one profile's submissions, as written; none where there is no board."""
    return [row for row in _read(board)[1] if row["submission"].startswith(f"{profile}/")]


def public_scores(board: Path, profile: str) -> dict[str, str]:
    """The public scores that are noted for submissions of `profile`, as written."""
    scores = {row["submission"]: row["public"] for row in rows_of(board, profile)}
    return {submission: score for submission, score in scores.items() if score != UNKNOWN}


def report_spec(s: Settings) -> ArtifactSpec:
    """The artifact of 80_report, whose name holds the public scores."""
    return graph.report(s, public_scores(graph.board(s), s.profile))


def shipped(judged: dict) -> dict:
    """The row of what was submitted, of `scores.judge`."""
    return next(row for row in judged["rows"] if row["name"] == judged["shipped"])


def name_of(submission: Path) -> str:
    """What a submission's folder is called on the board: <profile>/<rules>-<hash>."""
    return f"{submission.parent.name}/{submission.name}"


def number(cell: str) -> float | None:
    """The figure that a cell begins with; None for `-`."""
    found = re.match(r"\d+(\.\d+)?", cell)
    return float(found[0]) if found else None


def _row(name: str, submission: Path, judged: dict) -> Row:
    manifest = json.loads((submission / "manifest.json").read_text())
    best = shipped(judged)
    figures = {"valid": best["valid"], "hidden": best["hidden"], "Bayes": judged["bayes"]}
    return {
        "date": datetime.date.today().isoformat(),
        "submission": name,
        "commit": manifest["commit"],
        "rules": manifest["rules"],
        "blend": manifest["blend"],
        "runs": f"{len(manifest['runs'])} fits: {', '.join(_models(manifest)) or 'no network'}",
        "CV ± sd": UNKNOWN if best["cv"] is None else f"{best['cv']:.5f} ± {best['sd']:.5f}",
        **{k: UNKNOWN if value is None else f"{value:.5f}" for k, value in figures.items()},
        "public": UNKNOWN,
        "sentence": _sentence(manifest, judged),
    }


def _sentence(manifest: dict, judged: dict) -> str:
    """What ships, how far it lies above the best single network by the figure that chose, and what
    flatters it."""
    weights = manifest["weights"] if isinstance(manifest["weights"], dict) else {}
    used = [model for model in _models(manifest) if weights.get(model)]
    used.sort(key=lambda model: -abs(weights[model]))
    what = " + ".join(f"{model} {weights[model]:.2f}" for model in used) or manifest["blend"]
    external = manifest["external"]
    if external:
        what += f", mixed with {external['file']}, which was judged by nothing"
    best = shipped(judged)
    single = next((row for row in judged["rows"] if row["name"] == "best_single"), None)
    if single is not None and single is not best and best["cv"] is not None:
        what += f"; nested CV {best['cv'] - single['cv']:+.5f} against the best single network"
    return f"{what}. {of_tuned(judged)}" if judged["tuned"] else what


def _models(manifest: dict) -> list[str]:
    return sorted({run.partition("-")[0] for run in manifest["runs"]})


def _read(board: Path) -> tuple[list[str], list[Row], list[str]]:
    """Lines above the table, its rows, lines below it."""
    lines = board.read_text().splitlines() if board.exists() else [*TITLE.splitlines(), ""]
    start = next((i for i, line in enumerate(lines) if line.startswith("| date |")), len(lines))
    end = start
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    table = [_cells(line) for line in lines[start:end]]
    unknown = dict.fromkeys(COLUMNS, UNKNOWN)
    rows = [unknown | dict(zip(table[0], cells, strict=False)) for cells in table[2:]]
    return lines[:start], rows, lines[end:]


def _table(rows: list[Row]) -> list[str]:
    columns = list(dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)]))
    head = [_line(columns), _line(["---"] * len(columns))]
    return head + [_line([row.get(column, UNKNOWN) for column in columns]) for row in rows]


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
