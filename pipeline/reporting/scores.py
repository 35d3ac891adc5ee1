"""The score table: CV, official valid, hidden test and Bayes AUC of every network and every blend.

scores.json
    run        the run's name, that of its submission's folder
    rows       [{name, slates, cv, sd, cv_last, valid, hidden, valid_gain, hidden_gain}]; null where
               unknown; slates: whether a score depends on the other rows of its slate
    submitted  the name of the row that is submitted
    chosen_by  the figure that chose it, in words
    without_slates
               the row that would be submitted without slates; null where slates are not used
    within_slates
               {valid, hidden: {name: {gauc, clicked_first, log_loss}}}, see cv/slates/metrics.py;
               null where nothing stands beside another row, or labels are not known
    bayes      AUC of the true click probabilities given each row; null where they are not known
    bayes_slates
               the same given the whole slate; null where rows are independent or nothing is known
    tuned      networks whose settings a study chose, by the rows that CV (or valid) is computed on
    folds_chose_epochs  whether each fold chose the epochs of its own fits: folds.stop_users=0
    forecast   {auc, low, high}: what a test set like official valid would give (cv/forecast.py);
               null where the submission holds somebody else's file, or an older version made it
A gain is [difference from best_single, low, high], as in pipeline/blending/evaluate.py.
"""

from collections.abc import Iterable

BEST_SINGLE = "best_single"
SHOWN = ("cv", "sd", "cv_last", "valid", "hidden")  # figures of a row, in five digits
TERMINAL = 80  # columns, into which the table fits
NEEDS_SLATES = "It compares the rows of a slate (equal user and history): score whole slates."
CV_BIAS = "CV is slightly optimistic: each fold also chose the epoch of its own fits."
VALID_BIAS = (
    "Official valid is optimistic: it chose the epochs and the network. The hidden test chose"
    " neither."
)
TUNED_CV = "The folds also chose the settings of {}: compare by official valid instead of CV."
TUNED_VALID = "Official valid also chose the settings of {}: only the test is unbiased."


def submitted_row(scores: dict) -> dict:
    """The row of what is submitted."""
    return next(row for row in scores["rows"] if row["name"] == scores["submitted"])


def idle_blends(scores: dict) -> dict[str, str]:
    """{blend: network}: of a run of one network, the blends that reach just its own scores.

    They are that network, or a monotone function of it: tables leave their rows out.
    """
    names = [row["name"] for row in scores["rows"]]
    first = names.index(BEST_SINGLE) if BEST_SINGLE in names else 0
    networks = [row for row in scores["rows"][:first] if ", one " not in row["name"]]
    if len(networks) != 1:
        return {}
    alone, blends = networks[0], scores["rows"][first:]
    return {row["name"]: alone["name"] for row in blends if _figures(row) == _figures(alone)}


def _figures(row: dict) -> list[float | None]:
    return [row[key] and round(row[key], 5) for key in SHOWN]


def shown_rows(scores: dict) -> list[dict]:
    """The rows of the tables."""
    idle = idle_blends(scores)
    return [row for row in scores["rows"] if row["name"] not in idle]


def shown_submitted(scores: dict) -> str:
    """The name of the shown row that has the scores of what is submitted."""
    return idle_blends(scores).get(scores["submitted"], scores["submitted"])


def idle_sentence(scores: dict) -> str:
    """Which blends the tables leave out; empty where they show all."""
    idle = idle_blends(scores)
    if not idle:
        return ""
    return f"Left out, since equal to {next(iter(idle.values()))}: {', '.join(idle)}."


def cv_gain(scores: dict) -> float | None:
    """Nested CV of what is submitted less CV of the best single network; None for that network."""
    best = submitted_row(scores)
    single = next((row for row in scores["rows"] if row["name"] == BEST_SINGLE), best)
    return None if single is best or best["cv"] is None else best["cv"] - single["cv"]


def without_slates_row(scores: dict) -> dict | None:
    """The row that would be submitted without slates; None where slates are not used."""
    name = scores["without_slates"]
    return next((row for row in scores["rows"] if row["name"] == name), None)


def without_slates(scores: dict) -> str:
    """That row in words: lightgbm 0.90000 CV, 0.90000 valid, 0.90000 hidden; or nothing."""
    row = without_slates_row(scores)
    if row is None:
        return ""
    figures = {"CV": row["cv"], "valid": row["valid"], "hidden": row["hidden"]}
    known = [f"{value:.5f} {name}" for name, value in figures.items() if value is not None]
    return f"{row['name']} {', '.join(known)}"


def has_cv(scores: dict) -> bool:
    """Whether there are folds: false in official mode."""
    return scores["rows"][0]["cv"] is not None


def epoch_bias(scores: dict) -> str:
    """Which score the choice of epochs has biased, as a sentence; empty where it is none."""
    if not has_cv(scores):
        return VALID_BIAS
    return CV_BIAS if scores["folds_chose_epochs"] else ""


def tuning_bias(scores: dict) -> str:
    """Which score tuning has biased, as a sentence; empty where nothing was tuned."""
    if not scores["tuned"]:
        return ""
    return (TUNED_CV if has_cv(scores) else TUNED_VALID).format(", ".join(scores["tuned"]))


def forecast_sentence(scores: dict) -> str:
    """What a test set like official valid would give; empty where nothing can be forecast."""
    if scores["forecast"] is None:
        return ""
    return (
        "On a test set like official valid this submission scores {auc:.4f}, 95 % between {low:.4f}"
        " and {high:.4f}.".format(**scores["forecast"])
    )


def as_text(scores: dict) -> str:
    """The table for a terminal; `*` marks what is submitted."""
    width = max(16, *(len(row["name"]) for row in scores["rows"]))
    titles = {"cv_last": "CV last"} if has_cv_last(scores) else {}
    titles |= {"valid": "valid", "hidden": "hidden", "bayes": "Bayes"}
    cell = 10 if len(titles) * 10 + width + 21 < TERMINAL else 8
    heads = "".join(f"{title:>{cell}}" for title in titles.values())
    lines = [f"  {'':<{width}}{'CV ± sd':>{cell + 9}}{heads}"]
    alone, compared = by_use_of_slates(scores)
    lines += [_line(row, scores, titles, width, cell) for row in alone]
    lines += ["  compared within slates"] * bool(compared)
    lines += [_line(row, scores, titles, width, cell) for row in compared]
    if scores["bayes_slates"] is not None:
        rows_alone, in_slates = scores["bayes"], scores["bayes_slates"]
        lines.append(f"  Bayes AUC: {rows_alone:.5f} by rows alone, {in_slates:.5f} with slates")
    lines += _gains(scores)
    lines.append(f"* is submitted, chosen by {scores['chosen_by']}.")
    if submitted_row(scores)["slates"]:
        lines += [f"  {NEEDS_SLATES}", f"  without slates: {without_slates(scores)}"]
    notes = (
        forecast_sentence(scores),
        epoch_bias(scores),
        tuning_bias(scores),
        idle_sentence(scores),
    )
    lines += [f"  {note}" for note in notes if note]
    return "\n".join(lines)


def has_cv_last(scores: dict) -> bool:
    """Whether users have several events, so that CV on their last ones differs from CV."""
    return any(row["cv_last"] is not None for row in scores["rows"])


def by_use_of_slates(scores: dict) -> tuple[list[dict], list[dict]]:
    """The rows that are scored one by one, and those that are compared within slates."""
    rows = shown_rows(scores)
    return [row for row in rows if not row["slates"]], [row for row in rows if row["slates"]]


def bayes_of(row: dict, scores: dict) -> float | None:
    """The best possible AUC of scores that know what this row's do; None where it is not known."""
    in_slates = scores["bayes_slates"] if row["slates"] else None
    return scores["bayes"] if in_slates is None else in_slates  # equal where rows are independent


def _line(row: dict, scores: dict, columns: Iterable[str], width: int, cell: int) -> str:
    cv = "-" if row["cv"] is None else f"{row['cv']:.5f} ± {row['sd']:.5f}"
    row = row | {"bayes": bayes_of(row, scores)}
    cells = "".join(_cell(row[column], cell) for column in columns)
    return f"{_star(row, scores)} {row['name']:<{width}}{cv:>{cell + 9}}{cells}"


def _gains(scores: dict) -> list[str]:
    """Gains of the blends over the best single network; no lines where there are no blends."""
    rows = [row for row in shown_rows(scores) if row["valid_gain"] or row["hidden_gain"]]
    if not rows:
        return []
    width = max(16, *(len(row["name"]) for row in rows))
    heads = "".join(f"{name + ', 95 % interval':>30}" for name in ("valid", "hidden"))
    lines = [f"  {'over best_single':<{width}}{heads}"]
    for row in rows:
        cells = "".join(_interval(row[name]) for name in ("valid_gain", "hidden_gain"))
        lines.append(f"{_star(row, scores)} {row['name']:<{width}}{cells}")
    return lines


def _star(row: dict, scores: dict) -> str:
    return "*" if row["name"] == shown_submitted(scores) else " "


def _interval(gain: list[float] | None) -> str:
    if gain is None:
        return f"{'-':>30}"
    return f"{'{:+.5f} [{:+.5f}, {:+.5f}]'.format(*gain):>30}"


def _cell(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.5f}"
