"""The table of scores: published ones beside measured ones."""

import statistics
from dataclasses import dataclass

import numpy as np

from bench.fields.settings import Published
from bench.output import mean_and_sd, table_header, table_row

PARAMETERS_COUNTED_TWICE = """\
The published number of parameters of mlp counts its MLP twice: 53,890 of embeddings and two times
364,001, where DCN, with the same MLP, has 364,001 and its own cross network."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the fits of a network left: S reports, one of each seed, and logits (N, S) of test."""

    reports: list[dict]
    logits: np.ndarray


def table(scores: dict[str, Scores], seeds: list[int], figures: dict[str, Published]) -> str:
    """Published beside measured scores, one line per network."""
    names = (
        "network", "parameters, published", "ours", "AUC, paper", "benchmark", "measured",
        "log loss, benchmark", "measured", "seconds an epoch, P100", "ours", "epochs (best)",
    )  # fmt: skip
    heading = f"test scores, mean ± sd over seeds {', '.join(map(str, seeds))}; – not published"
    lines = [heading, "", table_header(names)]
    for network, measured in scores.items():
        reports = measured.reports
        published = figures.get(network, Published())
        seconds = [epoch["seconds"] for report in reports for epoch in report["epochs"]]
        cells = (
            network,
            _cell(published.parameters, ",d"),
            f"{reports[0]['parameters']:,d}",
            _cell(published.paper_auc, ".4f"),
            _cell(published.auc, ".6f"),
            mean_and_sd([r["auc"] for r in reports], 6),
            _cell(published.log_loss, ".6f"),
            mean_and_sd([r["log_loss"] for r in reports], 6),
            _cell(published.seconds, "d"),
            f"{statistics.median(seconds):.1f}",
            ", ".join(f"{len(r['epochs'])} ({r['best_epoch']})" for r in reports),
        )
        lines.append(table_row(cells))
    if "mlp" in scores:
        lines += ["", PARAMETERS_COUNTED_TWICE]
    return "\n".join(lines)


def _cell(value: float, form: str) -> str:
    return f"{value:{form}}" if value else "–"
