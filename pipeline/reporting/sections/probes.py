"""What the probes found: leaks and shifts in the data, networks that read padding or no history."""

from pipeline.reporting.blocks import Cell, Details, Section, Table, Verdict
from pipeline.reporting.formatting import NBSP, auc, compact, gain, readable
from pipeline.reporting.run import Run


def section(run: Run) -> Section | None:
    if not (run.probes or run.masks):
        return None
    return Section(
        anchor="probes",
        title="Probes",
        look_for="leaks, slates, shifts between the splits, and networks that read padding or"
        " ignore the history. A probe that found nothing has looked for its own kind only.",
        finding=_finding(run),
        blocks=[block for probe in run.probes for block in _data(probe)]
        + [_mask(mask) for mask in run.masks],
    )


def warnings(run: Run) -> list[str]:
    """A sentence for each finding and each failed test: they belong beside the scores."""
    sentences = [finding["text"] for probe in run.probes for finding in probe["findings"]]
    for mask in run.masks:
        for model, tests in mask["models"].items():
            if tests["padding"]["passed"] is False:
                sentences.append(f"{model} reads padding: its logits change with the padding")
            if tests["history"]["passed"] is False:
                sentences.append(
                    f"{model} ignores history items: too few of its logits change with"
                )
                sentences[-1] += " them"
            if tests["shuffled"]["helps"] is False:
                sentences.append(f"{model} gains nothing from a user's own history over another's")
    return sentences


def _finding(run: Run) -> str:
    n = len(warnings(run))
    if n:
        return f"{n} finding{'s' * (n > 1)}, listed at the top of this page."
    kinds = dict.fromkeys(readable(m["name"]) for p in run.probes for m in p["measured"])
    data = [f"looked in the data for {', '.join(kinds)}; none found"] * bool(run.probes)
    networks = ["every network reads the history and no padding"] * _all_pass(run.masks)
    return f"No findings: {'; '.join(data + networks)}."


def _data(probe: dict) -> list[Table | Details]:
    slates = [_slates(probe)] if "slates" in probe else []  # an earlier probe.json has none
    return [*slates, _probe(probe)]


def _slates(probe: dict) -> Table:
    """The slates of each split: the rows of one user with one history."""
    columns = ["", "slates", "rows per slate", "clicks per slate"]
    rows = [
        [name, f"{entry['slates']:,}", _percent(entry["rows"]), _percent(entry.get("clicks"))]
        for name, entry in probe["slates"].items()
    ]
    return Table(columns, rows)


def _percent(share: dict[str, float] | None) -> str:
    if share is None:
        return "-"
    return ", ".join(f"{value}{NBSP}({part:.1%})" for value, part in share.items())


def _probe(probe: dict) -> Details:
    columns = ["", "column", "on", "value", "95% interval", "expected at most"]
    findings = {_key(finding) for finding in probe["findings"]}
    rows = [
        [
            readable(m["name"]),
            m["column"],
            m["where"],
            _value(m, _key(m) in findings),
            f"{compact(m['low'])} to {compact(m['high'])}",
            "-" if m["threshold"] is None else compact(m["threshold"]),
        ]
        for m in probe["measured"]
    ]
    return Details(f"All {len(rows)} measurements of the data", Table(columns, rows))


def _key(measurement: dict) -> tuple[str, str, str]:
    return measurement["name"], measurement["column"], measurement["where"]


def _value(measurement: dict, is_finding: bool) -> Cell:
    text = compact(measurement["figure"])
    return Verdict(text, good=False) if is_finding else text


def _mask(mask: dict) -> Table:
    columns = [
        "", "ignores padding", "reads the history", "AUC", "with others' histories",
        "gain of own history",
    ]  # fmt: skip
    of_columns = any("columns" in tests for tests in mask["models"].values())
    columns += ["with others' columns"] * of_columns
    rows = []
    for model, tests in mask["models"].items():
        shuffled = tests["shuffled"]
        rows.append([
            model,
            _verdict(tests["padding"]["passed"]),
            _verdict(tests["history"]["passed"]),
            auc(shuffled["auc"]),
            auc(shuffled["auc_shuffled"]),
            gain([shuffled["gain"], shuffled["low"], shuffled["high"]]),
            *[auc(tests["columns"]["auc_shuffled"]) if "columns" in tests else "-"] * of_columns,
        ])  # fmt: skip
    return Table(columns, rows)


def _verdict(passed: bool | None) -> Cell:
    """None: the rows cannot tell, see pipeline/probes/history_use.py."""
    return "-" if passed is None else Verdict("pass" if passed else "FAIL", passed)


def _all_pass(masks: list[dict]) -> bool:
    models = [model for mask in masks for model in mask["models"].values()]
    return bool(models) and all(
        m[test]["passed"] for m in models for test in ("padding", "history")
    )
