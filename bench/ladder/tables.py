"""The table of a world: a row for each rung, with its differences to other rungs."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from bench.ladder.hidden import Hidden
from bench.ladder.rungs import Rung, base
from bench.slates import SOFTMAX
from bench.tools import trained
from bench.tools.output import mean_and_sd, table_header, table_row
from bench.tools.trained import Fits, SeedScores, difference
from features.slates import slate_numbers
from features.store.store import open_store
from pipeline import graph
from pipeline.artifacts import spec
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config.settings import Settings

HEAD = (
    "rung", "what changed", "", "valid AUC", "to the rung before, 95 %", "to the first, 95 %",
    "within slates", "epochs", "s per fit", "parameters",
)  # fmt: skip
HIDDEN_HEAD = ("hidden AUC", "hidden, within slates")
RUNNING = ("running_mean", "running_var", "num_batches_tracked")  # statistics, not parameters
NONE = "—"
OFFICIAL = (
    "Official split: valid also chose the epoch of every fit, in all rungs alike, so that its AUC"
    " is a little high."
)
FOLDS = "Folds: a seed's AUC is the mean of its fits, whose epochs rows of train chose."


@dataclass(frozen=True, slots=True)
class RungResult:
    """What a rung's fits came to; AUCs are one for each seed, None where there are no slates."""

    scores: SeedScores  # on official valid
    within: list[float] | None
    seconds: float  # of a fit, mean
    parameters: int
    hidden: list[float] | None = None
    hidden_within: list[float] | None = None


def read(s: Settings, fits: Fits, hidden: Hidden | None) -> RungResult:
    """The results of finished fits."""
    scores = trained.read_scores(s, fits)
    slate = slate_numbers(open_store(spec.require(graph.store(s))).valid)
    epochs = [trained.report(fit)["epochs"] for fit in fits.values()]
    seconds = statistics.fmean(sum(epoch["seconds"] for epoch in one) for one in epochs)
    within = _within(scores.label, scores.logits, slate)
    size = parameters(next(iter(fits.values())))
    if hidden is None:
        return RungResult(scores, within, seconds, size)
    logits = trained.read_logits(s, fits, "test")
    aucs = trained.seed_aucs(hidden.label, logits)
    of_slates = _within(hidden.label, logits, hidden.slate)
    return RungResult(scores, within, seconds, size, aucs, of_slates)


def parameters(fit: ArtifactSpec) -> int:
    """The learned numbers of a fit: those of model.pt without running statistics."""
    state = torch.load(spec.require(fit) / "model.pt", map_location="cpu", weights_only=True)
    return sum(v.numel() for k, v in state.items() if not k.endswith(RUNNING))


def _within(label: np.ndarray, logits: np.ndarray, slate: np.ndarray) -> list[float] | None:
    """Each seed's AUC with a softmax over each slate; logits (N, S, F), label and slate (N,)."""
    if slate.max() + 1 == len(slate):
        return None
    odds = np.apply_along_axis(lambda logit: SOFTMAX.log_odds(logit, slate), 0, logits)
    return trained.seed_aucs(label, odds)


def markdown(results: Mapping[Rung, RungResult], official: bool, look: str) -> list[str]:
    """The table and what it means; `look` is the sentence on hidden labels, or empty."""
    lines = table_header((*HEAD, *(HIDDEN_HEAD if look else ()))).splitlines()
    firsts: dict[str, Rung] = {}
    covers = ""
    for rung, result in results.items():
        first, before = firsts.setdefault(rung.network, rung), base(rung)
        compared = {rung: NONE, None: NONE}
        for other in {before, first} & results.keys() - {rung}:
            found = difference(result.scores, results[other].scores)
            compared[other] = f"{found.estimate:+.5f}, {found.low:+.5f} to {found.high:+.5f}"
            covers = found.covers
        cells = [rung.label, rung.change, _state(rung, before), mean_and_sd(result.scores.valid, 5)]
        cells += [
            compared.get(before, NONE),
            compared[first],
            _aucs(result.within),
            f"{result.scores.epochs:.1f}",
        ]
        cells += [f"{result.seconds:.0f}", f"{result.parameters:,}"]
        if look:
            cells += [_aucs(result.hidden), _aucs(result.hidden_within)]
        lines.append(table_row(cells))
    notes = [
        OFFICIAL if official else FOLDS,
        "The rung before is the last kept one; the first, the network's first in this table.",
        f"95 %: {covers}." if covers else "",
        look,
    ]
    return [*lines, "", *(note for note in notes if note)]


def _state(rung: Rung, before: Rung | None) -> str:
    return "kept" if rung.kept else "start" if before is None else "dropped"


def _aucs(aucs: list[float] | None) -> str:
    return NONE if aucs is None else mean_and_sd(aucs, 5)
