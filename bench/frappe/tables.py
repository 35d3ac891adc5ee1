"""Frappe_x1's tables: published scores beside measured ones."""

import statistics
from dataclasses import dataclass

from bench.output import mean_and_sd, table_header, table_row

BACKBONES = {"mlp": "MLP", "deepfm": "DeepFM", "xdeepfm": "xDeepFM", "dcn": "DCN"}


LAYERS = {"final_1b": "FINAL 1B", "final_2b": "FINAL 2B"}  # with the published and the paper's
ROWS = (
    *(f"{row}{end}" for row in LAYERS for end in ("", "_paper")),
    *(f"{row}{end}" for row in BACKBONES for end in ("", "_final")),
)


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """Test scores from the authors' README and run logs; None where they published none."""

    auc: float | None = None
    log_loss: float | None = None
    parameters: int | None = None


PUBLISHED = {
    "final_1b": PublishedScores(0.985223, 0.136554, 256_791),
    "final_2b": PublishedScores(0.985744, 0.131070, 338_502),
    "dcn": PublishedScores(0.9839),
}


def table(reports_by_row: dict[str, list[dict]], seeds: list[int]) -> str:
    """Published beside measured scores, one line per row; a row has one report per seed."""
    names = (
        "row", "parameters, published", "ours", "AUC, published", "measured",
        "log loss, published", "measured", "epochs (best)",
    )  # fmt: skip
    heading = f"test scores, mean ± sd over seeds {', '.join(map(str, seeds))}; – not published"
    lines = [heading, "", table_header(names)]
    for row, reports in reports_by_row.items():
        published = PUBLISHED.get(row, PublishedScores())
        cells = [row, _cell(published.parameters, ",d"), f"{reports[0]['parameters']:,d}"]
        for key in ("auc", "log_loss"):
            cells.append(_cell(getattr(published, key), ".6f" if row != "dcn" else ".4f"))
            cells.append(mean_and_sd([r[key] for r in reports], 6))
        cells.append(", ".join(f"{len(r['epochs'])} ({r['best_epoch']})" for r in reports))
        lines.append(table_row(cells))
    return "\n".join(lines)


def gains(reports_by_row: dict[str, list[dict]]) -> str:
    """What the paper's layer makes of FINAL, and the FINAL block of each backbone, seed by seed."""
    layers, _ = _gains("paper's layer - published, in", LAYERS, "_paper", reports_by_row)
    blocks, means = _gains("FINAL block - MLP, on", BACKBONES, "_final", reports_by_row)
    if means:
        better = sum(mean > 0 for mean in means)
        blocks += ["", f"backbones whose mean AUC gains: {better} of {len(means)}"]
    return "\n".join([*layers, *([""] if layers and blocks else []), *blocks])


def _gains(
    title: str, names: dict[str, str], end: str, reports_by_row: dict[str, list[dict]]
) -> tuple[list[str], list[float]]:
    """A table of the rows `row`+`end` less the rows `row`, and each one's mean AUC."""
    lines, means = [table_header((title, "test AUC", "test log loss"))], []
    for row, name in names.items():
        if not {row, f"{row}{end}"} <= reports_by_row.keys():
            continue
        pairs = list(zip(reports_by_row[row], reports_by_row[f"{row}{end}"], strict=True))
        gain = {key: [b[key] - a[key] for a, b in pairs] for key in ("auc", "log_loss")}
        lines.append(table_row((name, *(mean_and_sd(values, 6, "+") for values in gain.values()))))
        means.append(statistics.mean(gain["auc"]))
    return (lines if means else []), means


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"
