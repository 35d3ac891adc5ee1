"""One measurement of 15_probe, as JSON and as the line that a person reads."""

from dataclasses import asdict, dataclass

from cv.leak_statistics import ProbeFigure

MESSAGES = {  # probe -> what the figure says, and what to do
    "item_id": (
        "the item id predicts the label beyond popularity and levels, AUC",
        "clicks and non-clicks seem to come from different items: compare models with each other,"
        " and trust no AUC by itself",
    ),
    "level": (
        "{column} predicts the label beyond popularity, AUC",
        "it may count these very clicks, or clicks and non-clicks come from different items",
    ),
    "history_length": (
        "the length of the history predicts the label beyond what matches it, AUC",
        "check whether histories of clicks are cut at another point than those of non-clicks",
    ),
    "user_id": (
        "the user id predicts the label, AUC",
        "ids follow labels: leave <model>.user_id off, and use no user id as a feature",
    ),
    "target_in_history": (
        "a target item that is in its own history predicts the label, AUC",
        "cut histories strictly before the row's own event",
    ),
    "row_order": (
        "the position in the file predicts the label, AUC",
        "shuffle the rows, and use no row number as a feature",
    ),
    "shift": (
        "trees can tell {where} apart, AUC",
        "mostly by {top}: a score on one says less about the other",
    ),
    "user_overlap": (
        "share of {where}",
        "folds hold whole users, so CV evaluates on new users only: do not compare CV with this"
        " split",
    ),
    "level_mismatch": (
        "share of rows whose {column} differs from their item's",
        "the row's level may be of the row's own time: do not put the item's level in its place",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One column of one split, or of a pair of splits, as one probe measured it."""

    probe: str
    column: str
    where: str  # the split, or which share of which splits
    measured: ProbeFigure
    top: dict[str, float] | None = None  # columns by their share of the trees' gain

    def as_json(self) -> dict:
        entry = {"name": self.probe, "column": self.column, "where": self.where}
        entry |= {name: round(value, 6) for name, value in asdict(self.measured).items()}
        return entry | ({"top": self.top} if self.top else {})

    def as_text(self) -> str:
        """One line: the figure with its interval, and what to do."""
        m = self.measured
        message, remedy = MESSAGES[self.probe]
        values = {"column": self.column, "where": self.where, "top": ", ".join(self.top or ())}
        where = "" if "{where}" in message else f" on {self.where}"
        return (
            f"{self.probe}: {message.format(**values)} {m.figure:.3f}"
            f" ({m.low:.3f} to {m.high:.3f}){where}, expected at most {m.threshold:.3f};"
            f" {remedy.format(**values)}"
        )


def findings(measurements: list[Measurement]) -> list[Measurement]:
    """Of each probe that found something, the measurement that exceeds its threshold most."""
    crossed = [m for m in measurements if m.measured.crossed]
    crossed.sort(key=lambda m: m.measured.low - m.measured.threshold, reverse=True)
    worst: dict[str, Measurement] = {}
    for measurement in crossed:
        worst.setdefault(measurement.probe, measurement)
    return [worst[name] for name in MESSAGES if name in worst]
