"""How well the rows of one user and of one slate are ranked, beside the pooled AUC."""

from pipeline.reporting import scores
from pipeline.reporting.blocks import Grid, Section, Table, Titled
from pipeline.reporting.formatting import auc, readable
from pipeline.reporting.run import Run

TITLES = {"valid": "Official valid", "hidden": "Hidden test"}
COLUMNS = ("", "AUC", "AUC within users", "click first", "log loss in slates")


def section(run: Run) -> Section | None:
    measured = {key: run.scores["within_slates"][key] for key in TITLES}
    measured = {key: figures for key, figures in measured.items() if figures}
    if not measured:
        return None
    return Section(
        anchor="within-slates",
        title="Within slates",
        look_for="a pooled AUC that slates raise while the order inside them stays: then the rows"
        " of different slates are compared better. AUC within users weighs users by their rows"
        " (GAUC); a click is first where no other row of its slate scores higher; the log loss is"
        " that of the softmax over the slate.",
        finding=_finding(run, measured),
        blocks=[
            Grid(
                [Titled(TITLES[key], [_table(run, key, measured[key])]) for key in measured],
                wide=True,
            )
        ],
    )


def _finding(run: Run, measured: dict[str, dict]) -> str:
    submitted, alone = run.scores["submitted"], run.scores["without_slates"]
    key = "valid" if submitted in measured.get("valid", {}) else next(iter(measured))
    figures = measured[key]
    if submitted not in figures:
        return f"What is submitted was not measured: {readable(submitted)}."
    share = figures[submitted]["clicked_first"]
    text = f"What is submitted ranks a click first in {share:.1%} of the slates of {key}"
    if alone is None:
        return f"{text}; it scores each row alone."
    return f"{text}, {readable(alone)} without slates in {figures[alone]['clicked_first']:.1%}."


def _table(run: Run, key: str, figures: dict[str, dict]) -> Table:
    """Networks, then every blend; those that use slates last."""
    alone, compared = scores.by_use_of_slates(run.scores)
    rows = [row for row in alone + compared if row["name"] in figures]
    lines = [_line(row, key, figures[row["name"]]) for row in rows]
    names = [row["name"] for row in rows]
    submitted = scores.shown_submitted(run.scores)
    return Table(COLUMNS, lines, names.index(submitted) if submitted in names else -1)


def _line(row: dict, key: str, figures: dict) -> list[str]:
    return [
        readable(row["name"]),
        auc(row[key]),
        auc(figures["gauc"]),
        f"{figures['clicked_first']:.1%}",
        f"{figures['log_loss']:.4f}",
    ]
