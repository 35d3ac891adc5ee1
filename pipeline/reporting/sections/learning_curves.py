"""AUC of the rows that choose the epoch, and training loss, of every fit, epoch by epoch."""

import numpy as np

from pipeline.reporting import drawing
from pipeline.reporting.blocks import Figure, Grid, Numbers, Section
from pipeline.reporting.formatting import enumeration, value_range
from pipeline.reporting.hover import Strips
from pipeline.reporting.run import Run
from pipeline.training import health

HIDDEN_SHARE = 0.25  # of a sound fit's epochs, those of lowest AUC: they would flatten all others


def section(run: Run) -> Section:
    curves = {model: of_model(run, model) for model in run.models}
    limits = _limits(curves)
    return Section(
        anchor="learning-curves",
        title="Learning curves",
        look_for="AUC that still rises in the last epoch (train longer) or falls after the dot"
        " (overfitting).",
        finding=_finding(run, curves, limits),
        blocks=[Grid([_figure(run, model, fits, limits) for model, fits in curves.items()])],
        numbers=[_numbers(curves)],
    )


def warnings(run: Run) -> list[str]:
    """A sentence for each fit that did not learn: they belong beside the scores."""
    return [str(finding) for finding in health.findings(run.fits) if not finding.learned]


def choosing_rows(run: Run) -> str:
    """Whose AUC the curves show, and chooses the epoch."""
    if run.settings.official:
        return "official valid"
    return "held-out rows" if run.settings.folds_choose_epochs else "stop users"


def of_model(run: Run, model: str) -> list[dict]:
    """A model's fits: `score` and `loss` (epochs,), `best`, the chosen epoch, from 1, and whether
    it `learned`."""
    unlearned = {finding.fit for finding in health.findings(run.fits) if not finding.learned}
    return [
        {
            "seed": key[1],
            "fold": key[2],
            "score": np.array([epoch["score"] for epoch in record["report"]["epochs"]]),
            "loss": np.array([epoch["loss"] for epoch in record["report"]["epochs"]]),
            "best": record["report"]["best_epoch"],
            "learned": key not in unlearned,
        }
        for key, record in run.fits.items()
        if key[0] == model
    ]


def change_after_best(fits: list[dict]) -> tuple[float, float]:
    """Changes of AUC and training loss from the chosen epoch to the last, mean of fits."""
    score, loss = (
        float(np.mean([fit[key][-1] - fit[key][fit["best"] - 1] for fit in fits]))
        for key in ("score", "loss")
    )
    return score, loss


def _finding(run: Run, curves: dict[str, list[dict]], limits: tuple[float, float]) -> str:
    learned = {model: [fit for fit in fits if fit["learned"]] for model, fits in curves.items()}
    changes = {model: change_after_best(fits) for model, fits in learned.items() if fits}
    overfit = [model for model, (score, loss) in changes.items() if score < 0 and loss < 0]
    text = "One line per fold and seed; the dot marks the epoch that was kept."
    if overfit:
        text += (
            f" After it {enumeration(overfit)} overfit{'s' * (len(overfit) == 1)}:"
            f" training loss still falls while the AUC of {choosing_rows(run)} falls too."
        )
    text += "".join(f" {finding}." for finding in health.findings(run.fits))
    if any((fit["score"] < limits[0]).any() for fits in curves.values() for fit in fits):
        text += " AUCs of early epochs lie below the visible range."
    return text


def _caption(fits: list[dict]) -> str:
    chosen = value_range([fit["best"] for fit in fits])
    epochs = value_range([len(fit["score"]) for fit in fits])
    score, loss = change_after_best(fits)
    change = f"AUC {score:+.4f}, loss {loss:+.3f}"
    return f"keeps epoch {chosen} of {epochs}; from there to the end {change}"


def _limits(curves: dict[str, list[dict]]) -> tuple[float, float]:
    """AUC limits of all panels: every chosen epoch, whole curves of fits that did not learn, and
    all but the lowest of the other epochs."""
    fits = [fit for fits in curves.values() for fit in fits]
    scores = np.concatenate([fit["score"] for fit in fits])
    whole = [fit["score"].min() for fit in fits if not fit["learned"]]
    chosen = [fit["score"][fit["best"] - 1] for fit in fits]
    low, high = min(np.quantile(scores, HIDDEN_SHARE), *chosen, *whole), scores.max()
    margin = 0.05 * (high - low) or 0.05  # of equal AUCs, as in tiny data
    return low - margin, high + margin


def _name(fit: dict, several_seeds: bool) -> str:
    """fold 0; seed 1, fold 0; the one fit of the official split."""
    words = [f"seed {fit['seed']}"] * several_seeds + [f"fold {fit['fold']}"] * (fit["fold"] >= 0)
    return ", ".join(words) or "fit"


def _strips(axes: list, fits: list[dict]) -> Strips:
    """All fits' values of each epoch."""
    several = len({fit["seed"] for fit in fits}) > 1
    epochs = range(1, 1 + max(len(fit["score"]) for fit in fits))
    texts = []
    for epoch in epochs:
        lines = [f"epoch {epoch}: AUC, training loss"]
        for fit in fits:
            if epoch <= len(fit["score"]):
                score, loss = fit["score"][epoch - 1], fit["loss"][epoch - 1]
                kept = ", kept" * (epoch == fit["best"])
                lines.append(f"{_name(fit, several)}: {score:.5f}, {loss:.4f}{kept}")
        texts.append("\n".join(lines))
    return Strips(axes, epochs, texts)


def _numbers(curves: dict[str, list[dict]]) -> Numbers:
    rows = []
    for model, fits in curves.items():
        for fit in fits:
            for epoch, (score, loss) in enumerate(zip(fit["score"], fit["loss"], strict=True), 1):
                kept = "yes" if epoch == fit["best"] else "no"
                fold = "official" if fit["fold"] < 0 else fit["fold"]
                rows.append([model, fit["seed"], fold, epoch, score, loss, kept])
    columns = ["model", "seed", "fold", "epoch", "AUC", "training loss", "kept"]
    return Numbers("learning-curves", columns, rows)


def _figure(run: Run, model: str, fits: list[dict], limits: tuple[float, float]) -> Figure:
    canvas, (above, below) = drawing.canvas(height=290, nrows=2, sharex=True, height_ratios=(3, 2))
    colour = drawing.colour(run.models.index(model))
    for fit in fits:
        epochs = np.arange(1, len(fit["score"]) + 1)
        best = fit["best"] - 1
        for axes, key in ((above, "score"), (below, "loss")):
            axes.plot(epochs, fit[key], color=colour, lw=1.2, alpha=0.75)
            axes.plot(epochs[best], fit[key][best], "o", color=colour, ms=5)
    above.set_ylim(limits)
    drawing.heading(above, f"AUC of {choosing_rows(run)}")
    drawing.heading(below, "training loss")
    below.set_xlabel("epoch")
    below.xaxis.get_major_locator().set_params(integer=True)
    alt = f"Learning curves of {model}, one line per fit: {_caption(fits)}"
    strips = _strips([above, below], fits)
    return Figure(drawing.svg(canvas, alt, strips), _caption(fits), model)
