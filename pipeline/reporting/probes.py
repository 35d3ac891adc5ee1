"""What the probes found: leaks and shifts in the data, networks that read padding or no history."""

from pipeline.reporting.page import Html, Section, join, markup, table
from pipeline.reporting.run import Run
from pipeline.reporting.wording import auc, quantity


def section(run: Run) -> Section | None:
    if not (run.probes or run.masks):
        return None
    parts = [_probe(probe) for probe in run.probes] + [_mask(mask) for mask in run.masks]
    return Section(title="Probes", said=_said(run), body=join(parts))


def warnings(run: Run) -> list[str]:
    """A sentence for each finding and each failed test: they belong beside the scores."""
    found = [finding["said"] for probe in run.probes for finding in probe["findings"]]
    for mask in run.masks:
        for model, tested in mask.items():
            found += [f"{model}: {what}" for what, key in _TESTS.items() if not passed(tested[key])]
    return found


_TESTS = {
    "padding reaches its logits": "padding",
    "replacing real history items does not reach its logits": "history",
}


def passed(result: bool | str) -> bool:
    """Of true, or of the word pass."""
    return result is True or result == "pass"


def _said(run: Run) -> str:
    n = len(warnings(run))
    if n:
        return f"{n} finding{'s' * (n > 1)}, listed at the top of this page."
    return "The probes are silent: no leak or shift found, and every mask test passes."


def _probe(probe: dict) -> Html:
    parts = []
    if probe["findings"]:
        rows = [
            [
                finding["name"],
                quantity(finding["figure"]),
                f"{quantity(finding['low'])} to {quantity(finding['high'])}",
                quantity(finding["threshold"]),
                _words(finding["said"]),
            ]
            for finding in probe["findings"]
        ]
        parts.append(table(["finding", "figure", "95 % interval", "threshold", "means"], rows))
    measured = [[key, value] for key, value in flat(probe.get("measured", {}))]
    if measured:
        parts.append(table(["measured", "figure"], measured))
    return join(parts)


def flat(tree: dict, above: str = "") -> list[tuple[str, str]]:
    """The leaves of nested tables as (a.b.c, figure); lists of figures become one cell."""
    leaves = []
    for key, value in tree.items():
        path = f"{above}{key}"
        if isinstance(value, dict):
            leaves += flat(value, f"{path}.")
        elif isinstance(value, list):
            leaves.append((path, ", ".join(quantity(item) for item in value)))
        else:
            leaves.append((path, quantity(value)))
    return leaves


def _mask(mask: dict) -> Html:
    rows = []
    for model, tested in mask.items():
        gain = tested["auc"] - tested["auc_shuffled"]
        marks = [_verdict(passed(tested[key])) for key in ("padding", "history")]
        rows.append(
            [model, *marks, auc(tested["auc"]), auc(tested["auc_shuffled"]), f"{gain:+.5f}"]
        )
    columns = [
        "",
        "ignores padding",
        "reads the history",
        "AUC",
        "histories shuffled",
        "history brings",
    ]
    return table(columns, rows)


def _verdict(good: bool) -> Html:
    return Html('<span class="good">pass</span>' if good else '<span class="bad">FAIL</span>')


def _words(text: str) -> Html:
    return Html(f'<span class="text">{markup(text)}</span>')
