"""One measurement of 15_probe, as JSON and as the line that a person reads."""

from dataclasses import asdict, dataclass, replace

from cv.leak_statistics import ProbeFigure
from pipeline.probes.messages import MESSAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One column of one split, or of a pair of splits, as one probe measured it."""

    probe: str
    column: str
    where: str  # the split, or which share of which splits
    measured: ProbeFigure
    top: dict[str, float] | None = None  # columns by their share of the trees' gain
    note: str = ""  # what the message says beside the figure

    def with_note(self, note: str) -> "Measurement":
        return replace(self, note=note)

    def as_json(self) -> dict:
        entry = {"name": self.probe, "column": self.column, "where": self.where}
        entry |= {name: round(value, 6) for name, value in asdict(self.measured).items()}
        entry |= {"top": self.top} if self.top else {}
        return entry | ({"note": self.note} if self.note else {})

    def as_text(self) -> str:
        """One line: the figure with its interval, and what to do."""
        m = self.measured
        message, remedy = MESSAGES[self.probe]
        values = {"column": self.column, "where": self.where, "top": ", ".join(self.top or ())}
        values["note"] = self.note
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
