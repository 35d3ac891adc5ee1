"""One row per submission: leaderboard.csv is the database, LEADERBOARD.md beside it is for reading.

80_report adds the rows. You may edit the CSV (correct a public score, add a column); the next
80_report renders LEADERBOARD.md again. LEADERBOARD.md is never read: a file of that name which
80_report did not render is moved aside.
"""

from pathlib import Path

import polars as pl

from features.store.atomic import atomic_file
from pipeline import graph
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.locks import locked
from pipeline.artifacts.spec import RECORD, ArtifactSpec
from pipeline.config.settings import Settings
from pipeline.reporting.scores import bayes_of, cv_gain, submitted_row, tuning_bias, without_slates
from pipeline.reporting.selection import marks
from pipeline.runs.board import FIGURES, NAMES, SCHEMA, public_scores, read
from pipeline.runs.find import made
from pipeline.runs.report import report

RENDERED = "`80_report` renders this file from leaderboard.csv"
HEADER = f"""# Leaderboard

One row per run, one table per data: scores on different data cannot be compared. {RENDERED}:
edit that one. `--public` notes the public score of a submission, `--sentence` what it tries. A
score with a star is too high: it chose the blend, the network or tuned settings. `-`: not known.
Where "slates" is yes, a score depends on all rows of equal user and history.
"""
TITLES = (
    "date", "run", "commit", "rules", "blend", "slates", "chosen by", "tuned", "fits", "CV ± sd",
    "valid", "hidden", "Bayes", "public", "sentence", "typed",
)  # fmt: skip


def record(
    board: Path,
    submission: Path,
    scores: dict,
    public: float | None = None,
    sentence: str | None = None,
) -> None:
    """Add the row of `submission` (its folder) unless it is there; set `public` and `sentence`.

    Without a `sentence`, a new row says what is submitted and what it gains over the best network.
    Raises InputError where `board`, the CSV, cannot be read.
    """
    with locked(board.with_name(f".{board.name}.lock"), f"80_report {board}"):
        rows, name = read(board), name_of(submission)
        if name not in rows["submission"]:
            new = pl.DataFrame([_row(name, submission, scores)], schema=SCHEMA)
            rows = pl.concat([rows, new], how="diagonal")
        if public is not None:
            rows = _with(rows, name, "public", public)
        if sentence is not None:
            rows = _with(rows, name, "sentence", " ".join(sentence.split()) or None)
        _write(board, rows.write_csv())
        markdown = board.with_name("LEADERBOARD.md")
        _move_aside(markdown)
        _write(markdown, _markdown(rows))


def report_spec(s: Settings) -> ArtifactSpec:
    """The artifact of 80_report, whose name holds the public scores."""
    return report(s, public_scores(graph.board(s), s.profile))


def name_of(submission: Path) -> str:
    """The name of a submission's folder in the leaderboard: <profile>/<rules>-<hash>."""
    return f"{submission.parent.name}/{submission.name}"


def _with(rows: pl.DataFrame, submission: str, column: str, value: object) -> pl.DataFrame:
    mine = pl.col("submission") == submission
    return rows.with_columns(pl.when(mine).then(pl.lit(value)).otherwise(column).alias(column))


def _row(name: str, submission: Path, scores: dict) -> dict:
    manifest, best = read_json(submission / "manifest.json"), submitted_row(scores)
    when = made(submission, read_json(submission / RECORD)).replace(tzinfo=None)
    return {
        "date": when.isoformat(sep=" ", timespec="minutes"),
        "submission": name,
        "data": manifest.get("data"),
        "commit": manifest["commit"],
        "rules": manifest["rules"],
        "blend": manifest["blend"],
        "slates": "yes" if best["slates"] else "no",
        "chosen_by": scores["chosen_by"],
        "tuned": ", ".join(scores["tuned"]) or None,
        "runs": _fits(manifest),
        **{column: best[column] for column in ("cv", "sd", "valid", "hidden")},
        "bayes": bayes_of(best, scores),
        "public": None,
        "sentence": _sentence(manifest, scores),
        "typed": manifest.get("typed"),
    }


def _sentence(manifest: dict, scores: dict) -> str:
    """What is submitted, its CV gain over the best single network, and which scores are biased."""
    weights = manifest["weights"] if isinstance(manifest["weights"], dict) else {}
    used = [model for model in _models(manifest) if weights.get(model)]
    used.sort(key=lambda model: -abs(weights[model]))
    text = " + ".join(f"{model} {weights[model]:.2f}" for model in used) or manifest["blend"]
    if manifest["external"]:
        text += f", mixed with {manifest['external']['file']}, which nothing has validated"
    best, gain = submitted_row(scores), cv_gain(scores)
    if gain is not None:
        text += f"; nested CV {gain:+.5f} against the best single network"
    if best["slates"]:
        text += f"; without slates: {without_slates(scores)}"
    return f"{text}. {tuning_bias(scores)}" if scores["tuned"] else text


def _fits(manifest: dict) -> str:
    n = len(manifest["runs"])
    return f"{n} fit{'s' * (n != 1)}: {', '.join(_models(manifest)) or 'no network'}"


def _models(manifest: dict) -> list[str]:
    return sorted({run.partition("-")[0] for run in manifest["runs"]})


def _markdown(rows: pl.DataFrame) -> str:
    tables: dict[str, list[str]] = {}
    for row in rows.to_dicts():
        profile = row["submission"].rpartition("/")[0]
        heading = f"Data {row['data']}" if row["data"] else f"{profile}, data not recorded"
        tables.setdefault(heading, []).append(_row_line(row))
    head = [_line(TITLES), _line(["---"] * len(TITLES))]
    parts = ["\n".join([f"## {name}\n", *head, *lines]) for name, lines in tables.items()]
    return "\n\n".join([HEADER.rstrip(), *parts]) + "\n"


def _row_line(row: dict) -> str:
    figures = {name: "-" if row[name] is None else f"{row[name]:.5f}" for name in FIGURES}
    mark = marks(row["chosen_by"], row["tuned"] is not None, row["cv"] is not None)
    if row["valid"] is not None:
        figures["valid"] += mark["valid"]
    if row["cv"] is not None:
        figures["cv"] += f"{mark['cv']} ± {figures['sd']}"
    cells = {name: row[name] or "-" for name in NAMES if name not in FIGURES} | figures
    return _line([cells[name] for name in NAMES if name not in ("sd", "data")])


def _line(cells: list[str] | tuple[str, ...]) -> str:
    """A line of a Markdown table: whatever people wrote stays inside its cell."""
    text = [" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(text)} |"


def _move_aside(markdown: Path) -> None:
    """Rename a LEADERBOARD.md that was not rendered here: older versions kept their rows in it."""
    if not markdown.exists():
        return
    text = markdown.read_text(encoding="utf-8", errors="replace")
    if RENDERED in " ".join(text.split()):  # however an editor has wrapped it
        return
    aside, n = markdown.with_name("LEADERBOARD-old.md"), 1
    while aside.exists():
        n += 1
        aside = markdown.with_name(f"LEADERBOARD-old-{n}.md")
    markdown.rename(aside)
    print(
        f"80_report {markdown} is now rendered from leaderboard.csv: the file that was there is"
        f" kept as {aside.name}; copy the rows that you need into the CSV",
        flush=True,
    )


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, unless it holds just that."""
    if path.exists() and path.read_bytes() == text.encode():
        return
    with atomic_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
