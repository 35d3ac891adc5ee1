"""CV against the public leaderboard, over the submissions of this profile that have both."""

import itertools

from pipeline.reporting import drawing
from pipeline.reporting.blocks import Figure, Grid, Numbers, Section
from pipeline.reporting.hover import Strips
from pipeline.reporting.run import Run

MIN_POINTS = 2

Point = tuple[str, float, float]  # submission, CV, public score


def section(run: Run) -> Section | None:
    points = points_of(run.leaderboard)
    if len(points) < MIN_POINTS:
        return None
    canvas, axes = drawing.canvas(height=260)
    for name, cv, public in points:
        this = name == run.submission
        colour = drawing.INK if this else drawing.colour(0)
        axes.plot(cv, public, "o", ms=8 if this else 6, color=colour)
        axes.annotate(
            name.split("-")[-1], (cv, public), (0, 7), textcoords="offset points", ha="center",
            fontsize=10, in_layout=False,
        )  # fmt: skip
    axes.margins(0.15)
    axes.set_xlabel("CV")
    drawing.heading(axes, "public")
    axes.grid(axis="x")
    finding = _finding(points)
    texts = [f"{name}: CV {cv:.5f}, public {public:.5f}" for name, cv, public in points]
    strips = Strips([axes], [cv for _, cv, _ in points], texts)
    svg = drawing.svg(canvas, f"Public score against CV: {finding}", strips)
    caption = "A point is a submission, labelled by its hash; the large one is this run's."
    return Section(
        anchor="public",
        title="CV against public",
        look_for="points on a rising line: then a better CV is a better public score.",
        finding=finding,
        blocks=[Grid([Figure(svg, caption)], wide=True)],
        numbers=[Numbers("public", ["submission", "CV", "public"], points)],
    )


def points_of(leaderboard: list[dict]) -> list[Point]:
    """The rows that have both scores, in the order of the leaderboard."""
    points = [(row["submission"], row["cv"], row["public"]) for row in leaderboard]
    return [point for point in points if None not in point]


def _finding(points: list[Point]) -> str:
    pairs = list(itertools.combinations(points, 2))
    agreeing = sum((a[1] - b[1]) * (a[2] - b[2]) > 0 for a, b in pairs)
    gap = sum(public - cv for _, cv, public in points) / len(points)
    return (
        f"CV and public score put {agreeing} of {len(pairs)} pairs of submissions in the same"
        f" order; the public score differs from CV by {gap:+.4f} on average."
    )
