"""CV against the public leaderboard, over the submissions of this profile that have both."""

import itertools

from pipeline.reporting import drawing, leaderboard
from pipeline.reporting.page import Section, figure, grid
from pipeline.reporting.run import Run

FEWEST = 2  # points that make a plot


def section(run: Run) -> Section | None:
    points = points_of(run.board)
    if len(points) < FEWEST:
        return None
    made, axes = drawing.canvas(height=260)
    for name, cv, public in points:
        mine = name == run.submission
        axes.plot(
            cv, public, "o", ms=8 if mine else 6, color=drawing.INK if mine else drawing.series(0)
        )
        axes.annotate(
            name.split("-")[-1],
            (cv, public),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=10,
        )
    axes.margins(0.15)
    axes.set_xlabel("CV")
    drawing.heading(axes, "public")
    axes.grid(axis="x")
    said = _said(points)
    drawn = drawing.svg(made, f"Public score against CV: {said}")
    caption = "A point a submission, named by its hash; the large one is this."
    return Section(
        title="CV against public", said=said, body=grid([figure(drawn, caption)], wide=True)
    )


def points_of(board: list[leaderboard.Row]) -> list[tuple[str, float, float]]:
    """(submission, CV, public score) of the rows that have both; the order of the board."""
    found = [
        (row["submission"], leaderboard.number(row["CV ± sd"]), leaderboard.number(row["public"]))
        for row in board
    ]
    return [point for point in found if None not in point]


def _said(points: list[tuple[str, float, float]]) -> str:
    pairs = list(itertools.combinations(points, 2))
    agreeing = sum((a[1] - b[1]) * (a[2] - b[2]) > 0 for a, b in pairs)
    gap = sum(public - cv for _, cv, public in points) / len(points)
    return (
        f"CV and public put {agreeing} of {len(pairs)} pairs of submissions in the same order;"
        f" public lies {gap:+.4f} from CV on average."
    )
