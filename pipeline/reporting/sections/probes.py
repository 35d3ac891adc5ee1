"""What the probes found: leaks and shifts in the data, networks that read padding or no history."""

from pipeline.reporting.page import Html, Section, folded, join, markup, table
from pipeline.reporting.run import Run
from pipeline.reporting.wording import auc, name, quantity


def section(run: Run) -> Section | None:
    if not (run.probes or run.masks):
        return None
    parts = [_probe(probe) for probe in run.probes] + [_mask(mask) for mask in run.masks]
    return Section(title="Probes", said=_said(run), body=join(parts))


def warnings(run: Run) -> list[str]:
    """A sentence for each finding and each failed test: they belong beside the scores."""
    found = [finding["text"] for probe in run.probes for finding in probe["findings"]]
    for mask in run.masks:
        for model, tested in mask["models"].items():
            if not tested["padding"]["passed"]:
                found.append(f"{model} reads padding: other padding moves its logits")
            if not tested["history"]["passed"]:
                found.append(f"{model} ignores history items: others move too few of its logits")
            if not tested["shuffled"]["helps"]:
                found.append(f"{model} scores no better with the right histories than with others'")
    return found


def _said(run: Run) -> str:
    n = len(warnings(run))
    if n:
        return f"{n} finding{'s' * (n > 1)}, listed at the top of this page."
    leaks = ["no leak or shift between the splits was found"] * bool(run.probes)
    masks = ["every network reads the history and no padding"] * bool(run.masks)
    return f"The probes are silent: {'; '.join(leaks + masks)}."


def _probe(probe: dict) -> Html:
    columns = ["", "column", "on", "figure", "95% interval", "expected at most"]
    findings = {(f["name"], f["column"], f["where"]) for f in probe["findings"]}
    rows = [
        [
            name(m["name"]),
            m["column"],
            m["where"],
            _marked(quantity(m["figure"]), (m["name"], m["column"], m["where"]) in findings),
            f"{quantity(m['low'])} to {quantity(m['high'])}",
            "-" if m["threshold"] is None else quantity(m["threshold"]),
        ]
        for m in probe["measured"]
    ]
    return folded(f"All {len(rows)} measurements of the data", table(columns, rows))


def _mask(mask: dict) -> Html:
    rows = []
    for model, tested in mask["models"].items():
        worth = tested["shuffled"]
        rows.append([
            model,
            _verdict(tested["padding"]["passed"]),
            _verdict(tested["history"]["passed"]),
            auc(worth["auc"]),
            auc(worth["auc_shuffled"]),
            f"{worth['gain']:+.5f} ({worth['low']:+.5f} to {worth['high']:+.5f})",
        ])  # fmt: skip
    columns = [
        "", "ignores padding", "reads the history", "AUC", "with others' histories",
        "its history brings",
    ]  # fmt: skip
    return table(columns, rows)


def _verdict(good: bool) -> Html:
    return Html('<span class="good">pass</span>' if good else '<span class="bad">FAIL</span>')


def _marked(text: str, bad: bool) -> Html:
    return Html(f'<span class="bad">{markup(text)}</span>') if bad else markup(text)
