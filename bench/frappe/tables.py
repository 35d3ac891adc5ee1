"""Frappe_x1's tables: published scores beside measured ones."""

import statistics

from bench.frappe.published import PUBLISHED, Published
from bench.output import mean_and_sd, table_header, table_row

BACKBONES = {
    "mlp": "MLP",
    "dcn": "DCN",
    "dcn_v2": "DCN V2",
    "deepfm": "DeepFM",
    "xdeepfm": "xDeepFM",
    "autoint_plus": "AutoInt+",
}
LAYERS = {"final_1b": "FINAL 1B", "final_2b": "FINAL 2B"}  # with the published and the paper's
NETWORKS = (
    *("lr", "fm", "afm", "crossnet", "crossnet_v2", "cin", "sam", "autoint"),
    *BACKBONES,
    *("final_1b", "final_dual", "final_2b"),
    *(f"{network}_paper" for network in LAYERS),
    *(f"{backbone}_final" for backbone in BACKBONES),
)
PARAMETERS_COUNTED_TWICE = """\
The published number of parameters of mlp counts its MLP twice: 53,890 of embeddings and two times
364,001, where DCN, with the same MLP, has 364,001 and its own cross network."""


def table(reports_by_network: dict[str, list[dict]], seeds: list[int]) -> str:
    """Published beside measured scores, one line per network; one report per seed."""
    names = (
        "network", "parameters, published", "ours", "AUC, paper", "benchmark", "measured",
        "log loss, benchmark", "measured", "seconds an epoch, P100", "ours", "epochs (best)",
    )  # fmt: skip
    heading = f"test scores, mean ± sd over seeds {', '.join(map(str, seeds))}; – not published"
    lines = [heading, "", table_header(names)]
    for network, reports in reports_by_network.items():
        published = PUBLISHED.get(network, Published())
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
    if "mlp" in reports_by_network:
        lines += ["", PARAMETERS_COUNTED_TWICE]
    return "\n".join(lines)


def gains(reports_by_network: dict[str, list[dict]]) -> str:
    """What the paper's layer makes of FINAL, and the FINAL block of each backbone, seed by seed."""
    layers, _ = _gains("paper's layer - published, in", LAYERS, "_paper", reports_by_network)
    blocks, means = _gains("FINAL block - MLP, on", BACKBONES, "_final", reports_by_network)
    if means:
        better = sum(mean > 0 for mean in means)
        blocks += ["", f"backbones whose mean AUC gains: {better} of {len(means)}"]
    return "\n".join([*layers, *([""] if layers and blocks else []), *blocks])


def _gains(
    title: str, names: dict[str, str], end: str, reports_by_network: dict[str, list[dict]]
) -> tuple[list[str], list[float]]:
    """A table of the networks `n`+`end` less the networks `n`, and each one's mean AUC."""
    lines, means = [table_header((title, "test AUC", "test log loss"))], []
    for network, name in names.items():
        if not {network, f"{network}{end}"} <= reports_by_network.keys():
            continue
        pairs = list(
            zip(reports_by_network[network], reports_by_network[f"{network}{end}"], strict=True)
        )
        gain = {key: [b[key] - a[key] for a, b in pairs] for key in ("auc", "log_loss")}
        lines.append(table_row((name, *(mean_and_sd(values, 6, "+") for values in gain.values()))))
        means.append(statistics.mean(gain["auc"]))
    return (lines if means else []), means


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"
