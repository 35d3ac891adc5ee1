"""The table of scores: published figures beside measured ones."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.fields.settings import Published
from bench.tools.output import mean_and_sd
from pipeline.reporting.blocks import Note, Section, Table
from pipeline.reporting.formatting import duration, enumeration

WITHIN = 0.001  # AUC of the benchmark's run: nearer is equal to it
WIDER = {"lr": 0.002, "fm": 0.002, "afm": 0.002, "crossnet": 0.002}


@dataclass(frozen=True, slots=True)
class Scores:
    """What the fits of a network left: S reports, one of each seed, and logits (N, S) of test."""

    reports: list[dict]
    logits: np.ndarray

    @property
    def auc(self) -> float:
        """Mean over the seeds."""
        return statistics.mean(report["auc"] for report in self.reports)


Column = Callable[[Scores, Published], str]
SCORES: dict[str, Column] = {
    "AUC, benchmark": lambda _, p: cell(p.auc, ".6f"),
    "AUC, paper": lambda _, p: cell(p.paper_auc, ".4f"),
    "AUC, ours": lambda m, _: mean_and_sd([r["auc"] for r in m.reports], 6),
    "log loss, benchmark": lambda _, p: cell(p.log_loss, ".6f"),
    "log loss, ours": lambda m, _: mean_and_sd([r["log_loss"] for r in m.reports], 6),
}
COSTS: dict[str, Column] = {
    "parameters, benchmark": lambda _, p: cell(p.parameters, ",d"),
    "parameters, ours": lambda m, _: f"{m.reports[0]['parameters']:,d}",
    "seconds an epoch, P100": lambda _, p: cell(p.seconds, ",d"),
    "seconds an epoch, ours": lambda m, _: f"{statistics.median(_seconds(m)):,.1f}",
    "epochs, benchmark": lambda _, p: cell(p.epochs, "d"),
    "epochs, ours (best)": lambda m, _: ", ".join(
        f"{len(r['epochs'])} ({r['best_epoch']})" for r in m.reports
    ),
}


def sections(scores: Mapping[str, Scores], figures: Mapping[str, Published]) -> list[Section]:
    """Scores of test, and what they cost; published columns stand where `figures` has any."""
    return [
        Section(
            anchor="scores",
            title="Scores of test",
            look_for="figures near the published ones, and standard deviations over the seeds that"
            " are smaller than what tells the networks apart.",
            finding=within_sentence(scores, figures) or _best_sentence(scores),
            blocks=[_table(SCORES, scores, figures)],
        ),
        Section(
            anchor="cost",
            title="Parameters and time",
            look_for="equal numbers of parameters, and fits of about as many epochs.",
            finding=f"A fit takes {_median_fit(scores)}, the median of the networks.",
            blocks=[
                _table(COSTS, scores, figures),
                *(Note(note) for note in _counted_twice(scores, figures)),
            ],
        ),
    ]


def _table(
    columns: Mapping[str, Column], scores: Mapping[str, Scores], figures: Mapping[str, Published]
) -> Table:
    """One line per network."""
    shown = {name: of for name, of in columns.items() if figures or "ours" in name}
    rows = [
        [network, *(of(measured, figures.get(network, Published())) for of in shown.values())]
        for network, measured in scores.items()
    ]
    return Table(["network", *shown], rows)


def _seconds(measured: Scores) -> list[float]:
    return [epoch["seconds"] for report in measured.reports for epoch in report["epochs"]]


def _median_fit(scores: Mapping[str, Scores]) -> str:
    fits = [sum(_seconds(measured)) / len(measured.reports) for measured in scores.values()]
    return duration(statistics.median(fits))


def cell(value: float, form: str) -> str:
    """A published figure; a dash where there is none."""
    return f"{value:{form}}" if value else "–"


def within_sentence(scores: Mapping[str, Scores], figures: Mapping[str, Published]) -> str:
    """How many networks have the benchmark's AUC, and which have not; nothing without figures."""
    apart = {
        network: measured.auc - figures[network].auc
        for network, measured in scores.items()
        if network in figures and figures[network].auc
    }
    if not apart:
        return ""
    outside = [
        f"{network} {difference:+.6f}"
        for network, difference in apart.items()
        if abs(difference) > WIDER.get(network, WITHIN)
    ]
    return (
        f"{len(apart) - len(outside)} of {len(apart)} networks are within {WITHIN} AUC of the"
        f" benchmark's run (of {enumeration(list(WIDER))} within {max(WIDER.values())})"
        + (f"; not {enumeration(outside)}." if outside else ".")
    )


def _best_sentence(scores: Mapping[str, Scores]) -> str:
    best = max(scores, key=lambda network: scores[network].auc)
    return f"The highest mean AUC is {scores[best].auc:.6f}, of {best}."


def _counted_twice(scores: Mapping[str, Scores], figures: Mapping[str, Published]) -> list[str]:
    ours = scores["mlp"].reports[0]["parameters"] if "mlp" in scores else 0
    more = figures["mlp"].parameters - ours if ours and "mlp" in figures else 0
    if more <= 0:
        return []
    return [
        f"The published number of parameters of mlp counts its MLP twice: {ours:,} are those of the"
        f" embeddings and of one MLP, and {more:,} more, the MLP's, are published."
    ]
