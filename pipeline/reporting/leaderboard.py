"""One row per submission: leaderboard.csv is the database, LEADERBOARD.md beside it is for reading.

80_report adds the rows. You may edit the CSV (correct a public score, add a column); the next
80_report renders LEADERBOARD.md again. LEADERBOARD.md is never read: a file of that name which
80_report did not render is moved aside.
"""

import datetime
import json
from pathlib import Path

import polars as pl

from features.errors import InputError
from features.store.atomic import atomic_file
from pipeline import graph
from pipeline.artifacts.locks import locked
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config.settings import Settings
from pipeline.reporting.scores import bayes_of, cv_gain, submitted_row, tuning_bias, without_slates
from pipeline.reporting.selection import marks

FIGURES = ("cv", "sd", "valid", "hidden", "bayes", "public")  # AUCs, and the sd of CV over folds
WORDS = ("date", "submission", "commit", "rules", "blend", "slates", "chosen_by", "tuned", "runs")
SCHEMA = {
    name: pl.Float64 if name in FIGURES else pl.String for name in (*WORDS, *FIGURES, "sentence")
}
LATER = ("slates", "chosen_by", "tuned")  # columns that boards of older versions lack
RENDERED = "`80_report` renders this file from leaderboard.csv"
HEADER = f"""# Leaderboard

One row per submission. {RENDERED}: edit that one. `--public` notes
the public score of a submission, `--sentence` what it tries. A score with a star is too high: it
chose the blend, the network or tuned settings. `-` under "chosen by" or "slates": not known. Where
"slates" is yes, a score depends on all rows of equal user and history.
"""
TITLES = (
    "date", "submission", "commit", "rules", "blend", "slates", "chosen by", "tuned", "runs",
    "CV ± sd", "valid", "hidden", "Bayes", "public", "sentence",
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


def read(board: Path) -> pl.DataFrame:
    """The rows, columns as in SCHEMA and whatever was added by hand; no rows without a file."""
    if not board.exists():
        return pl.DataFrame(schema=SCHEMA)
    try:
        rows = pl.read_csv(board, infer_schema=False, glob=False)
    except pl.exceptions.PolarsError as error:
        raise _refusal(board, str(error).partition("\n")[0]) from None
    missing = [name for name in SCHEMA if name not in (*rows.columns, *LATER)]
    if missing:
        raise _refusal(board, f"no column {', '.join(missing)}")
    rows = rows.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines
    later = [pl.lit(None, pl.String).alias(name) for name in LATER if name not in rows.columns]
    added = [name for name in rows.columns if name not in SCHEMA]  # by hand
    rows = rows.with_columns(later).select(*SCHEMA, *added)
    for name in FIGURES:
        values = rows[name].cast(pl.Float64, strict=False)
        fine = values.is_between(0, 1).fill_null(False)
        wrong = rows[name].filter(rows[name].is_not_null() & ~fine)
        if len(wrong):
            raise _refusal(board, f"column {name} holds {wrong[0]!r}")
        rows = rows.with_columns(values)
    if rows["submission"].has_nulls():
        raise _refusal(board, "a row does not name its submission")
    twice = rows["submission"].filter(rows["submission"].is_duplicated())
    if len(twice):
        raise _refusal(board, f"{twice[0]} has several rows")
    return rows


def public_scores(board: Path, profile: str) -> dict[str, str]:
    """The public scores that are noted for submissions of `profile`."""
    rows = of_profile(board, profile).drop_nulls("public")
    return {name: f"{score:.5f}" for name, score in rows.select("submission", "public").rows()}


def report_spec(s: Settings) -> ArtifactSpec:
    """The artifact of 80_report, whose name holds the public scores."""
    return graph.report(s, public_scores(graph.board(s), s.profile))


def of_profile(board: Path, profile: str) -> pl.DataFrame:
    """The rows of one profile's submissions."""
    return read(board).filter(pl.col("submission").str.starts_with(f"{profile}/"))


def name_of(submission: Path) -> str:
    """The name of a submission's folder in the leaderboard: <profile>/<rules>-<hash>."""
    return f"{submission.parent.name}/{submission.name}"


def _with(rows: pl.DataFrame, submission: str, column: str, value: object) -> pl.DataFrame:
    mine = pl.col("submission") == submission
    return rows.with_columns(pl.when(mine).then(pl.lit(value)).otherwise(column).alias(column))


def _row(name: str, submission: Path, scores: dict) -> dict:
    manifest, best = (
        json.loads((submission / "manifest.json").read_text(encoding="utf-8")),
        submitted_row(scores),
    )
    return {
        "date": datetime.date.today().isoformat(),
        "submission": name,
        "commit": manifest["commit"],
        "rules": manifest["rules"],
        "blend": manifest["blend"],
        "slates": "yes" if best["slates"] else "no",
        "chosen_by": scores["chosen_by"],
        "tuned": ", ".join(scores["tuned"]) or None,
        "runs": f"{len(manifest['runs'])} fits: {', '.join(_models(manifest)) or 'no network'}",
        **{column: best[column] for column in ("cv", "sd", "valid", "hidden")},
        "bayes": bayes_of(best, scores),
        "public": None,
        "sentence": _sentence(manifest, scores),
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


def _models(manifest: dict) -> list[str]:
    return sorted({run.partition("-")[0] for run in manifest["runs"]})


def _markdown(rows: pl.DataFrame) -> str:
    lines = [_line(TITLES), _line(["---"] * len(TITLES))]
    for row in rows.to_dicts():
        figures = {name: "-" if row[name] is None else f"{row[name]:.5f}" for name in FIGURES}
        mark = marks(row["chosen_by"], row["tuned"] is not None, row["cv"] is not None)
        if row["valid"] is not None:
            figures["valid"] += mark["valid"]
        if row["cv"] is not None:
            figures["cv"] += f"{mark['cv']} ± {figures['sd']}"
        cells = {name: row[name] or "-" for name in (*WORDS, "sentence")} | figures
        lines.append(_line([cells[name] for name in SCHEMA if name != "sd"]))
    return "\n".join([HEADER, *lines]) + "\n"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    """A line of a Markdown table: whatever people wrote stays inside its cell."""
    text = [" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(text)} |"


def _move_aside(markdown: Path) -> None:
    """Rename a LEADERBOARD.md that was not rendered here: older versions kept their rows in it."""
    if not markdown.exists() or RENDERED in markdown.read_text(errors="replace", encoding="utf-8"):
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


def _refusal(board: Path, problem: str) -> InputError:
    return InputError(
        f"{board}: {problem}; expected a CSV with the columns {', '.join(SCHEMA)}, scores from 0 to"
        " 1 and one row per submission. Correct it, or move it away to start a new one"
    )
