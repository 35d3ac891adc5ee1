"""Frappe_x1's tables: published scores beside measured ones."""

import statistics
from dataclasses import dataclass

from bench.tables import spread

BACKBONES = {"mlp": "MLP", "deepfm": "DeepFM", "xdeepfm": "xDeepFM", "dcn": "DCN"}


ROWS = ("final_1b", "final_2b", *(f"{b}{end}" for b in BACKBONES for end in ("", "_final")))


@dataclass(frozen=True, slots=True)
class Published:
    """Test scores as printed by the authors (README table, run logs); None where they are not."""

    auc: float | None = None
    log_loss: float | None = None
    parameters: int | None = None


PUBLISHED = {
    "final_1b": Published(0.985223, 0.136554, 256_791),
    "final_2b": Published(0.985744, 0.131070, 338_502),
    "dcn": Published(0.9839),
}


def table(reports_by_row: dict[str, list[dict]], seeds: list[int]) -> str:
    """Published beside measured, one line per row; a row's reports come in the order of seeds."""
    lines = [
        f"test scores, mean ± sd over seeds {', '.join(map(str, seeds))}; – not published",
        "",
        "| row | parameters, published | ours | AUC, published | measured"
        " | log loss, published | measured | epochs (best) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, reports in reports_by_row.items():
        known = PUBLISHED.get(row, Published())
        cells = [row, _cell(known.parameters, ",d"), f"{reports[0]['parameters']:,d}"]
        for key in ("auc", "log_loss"):
            cells.append(_cell(getattr(known, key), ".6f" if row != "dcn" else ".4f"))
            cells.append(spread([r[key] for r in reports], 6))
        cells.append(", ".join(f"{len(r['epochs'])} ({r['best_epoch']})" for r in reports))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(reports_by_row: dict[str, list[dict]]) -> str:
    """Whether a backbone gains from the FINAL block: differences, seed by seed."""
    lines = ["| FINAL block - MLP, on | test AUC | test log loss |", "| --- | --- | --- |"]
    verdicts = []
    for row, name in BACKBONES.items():
        if not {row, f"{row}_final"} <= reports_by_row.keys():
            continue
        pairs = list(zip(reports_by_row[row], reports_by_row[f"{row}_final"], strict=True))
        gain = {key: [b[key] - a[key] for a, b in pairs] for key in ("auc", "log_loss")}
        lines.append(
            f"| {name} | {spread(gain['auc'], 6, '+')} | {spread(gain['log_loss'], 6, '+')} |"
        )
        verdicts.append(statistics.mean(gain["auc"]) > 0)
    if not verdicts:
        return ""
    lines += ["", f"backbones whose mean AUC gains: {sum(verdicts)} of {len(verdicts)}"]
    return "\n".join(lines)


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"
