"""Held-out AUC and training loss of every fit, epoch by epoch."""

import numpy as np

from pipeline.reporting import drawing
from pipeline.reporting.page import Html, Section, figure, grid
from pipeline.reporting.run import Run
from pipeline.reporting.wording import listed, span

FIRST = 0.25  # share of all epochs whose AUCs, the lowest, would flatten what matters


def section(run: Run) -> Section:
    curves = {model: of_model(run, model) for model in run.models}
    limits = _limits(curves)
    return Section(
        title="Learning curves",
        said=_said(curves),
        body=grid(_figure(run, model, fits, limits) for model, fits in curves.items()),
    )


def of_model(run: Run, model: str) -> list[dict]:
    """A model's fits: `score` and `loss` (epochs,), and `best`, the chosen epoch, from 1."""
    return [
        {
            "score": np.array([epoch["score"] for epoch in record["report"]["epochs"]]),
            "loss": np.array([epoch["loss"] for epoch in record["report"]["epochs"]]),
            "best": record["report"]["best_epoch"],
        }
        for (m, _, _), record in run.fits.items()
        if m == model
    ]


def after_the_best(fits: list[dict]) -> tuple[float, float]:
    """What held-out AUC and training loss do from the chosen epoch to the last, means over fits."""
    return tuple(
        float(np.mean([fit[what][-1] - fit[what][fit["best"] - 1] for fit in fits]))
        for what in ("score", "loss")
    )


def _said(curves: dict[str, list[dict]]) -> str:
    overfit = [m for m, fits in curves.items() if (d := after_the_best(fits))[0] < 0 and d[1] < 0]
    last = [m for m, fits in curves.items() if any(f["best"] == len(f["score"]) for f in fits)]
    text = "A line a fold and seed; dots mark the epoch that was kept."
    if overfit:
        text += (
            f" Past it, {listed(overfit)} overfit{'s' * (len(overfit) == 1)}:"
            " training loss goes on falling while held-out AUC falls too."
        )
    if last:
        text += f" Fits of {listed(last)} were best in their last epoch: more epochs may help."
    return text + " AUCs of early epochs may lie below the panel."


def _caption(fits: list[dict]) -> str:
    chosen = [fit["best"] for fit in fits]
    score, loss = after_the_best(fits)
    text = f"keeps epoch {span(chosen)} of {span([len(fit['score']) for fit in fits])}"
    return f"{text}; from there to the end AUC {score:+.4f}, loss {loss:+.3f}"


def _limits(curves: dict[str, list[dict]]) -> tuple[float, float]:
    """AUC limits of all panels: every chosen epoch, and all but the lowest of the others."""
    fits = [fit for of_model in curves.values() for fit in of_model]
    every = np.concatenate([fit["score"] for fit in fits])
    low = min(np.quantile(every, FIRST), *(fit["score"][fit["best"] - 1] for fit in fits))
    high = every.max()
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _figure(run: Run, model: str, fits: list[dict], limits: tuple[float, float]) -> Html:
    made, (above, below) = drawing.canvas(height=290, nrows=2, sharex=True, height_ratios=(3, 2))
    colour = drawing.series(run.models.index(model))
    for fit in fits:
        epochs = np.arange(1, len(fit["score"]) + 1)
        best = fit["best"] - 1
        for axes, what in ((above, "score"), (below, "loss")):
            axes.plot(epochs, fit[what], color=colour, lw=1.2, alpha=0.75)
            axes.plot(epochs[best], fit[what][best], "o", color=colour, ms=5)
    above.set_ylim(limits)
    drawing.heading(above, "held-out AUC")
    drawing.heading(below, "training loss")
    below.set_xlabel("epoch")
    below.xaxis.get_major_locator().set_params(integer=True)
    alt = f"Learning curves of {model}, a line a fit: {_caption(fits)}"
    return figure(drawing.svg(made, alt), _caption(fits), model)
