"""What is wrong with a fit, read from its learning curve and from its siblings.

Siblings are the fits of the same network on other folds and with other seeds. What a fit has
learned is its AUC beyond 0.5. Each rule is a comparison with noise or with siblings, so that sound
fits are silent; the figures behind the thresholds are in bench/RESULTS.md.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.settings import NetworkSettings
from models.training import warm_up
from pipeline import graph
from pipeline.artifacts.spec import record
from pipeline.config.settings import Settings
from pipeline.graph import FitKey

LOSS_RISE = 0.02  # of the first epoch's mean loss, from one epoch to the next: more is no noise
LEARNED = 2 / 3  # of what the best sibling learned, the least: see bench.worlds.failed_fits
NOISE = 3  # standard errors of a difference of two AUCs: less is noise
CHANCE = warm_up.ERRORS  # standard errors of an AUC at chance: less has not ended a warm-up


@dataclass(frozen=True, slots=True)
class Finding:
    """One fit, its fault, a sentence on it, and what to do about it."""

    fit: FitKey
    fault: Literal["below its siblings", "at chance", "still rising"]
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}"

    @property
    def learned(self) -> bool:
        """Whether the fit learned what it could in the epochs that it had."""
        return self.fault == "still rising"


def of_run(s: Settings) -> list[Finding]:
    """The findings on all fits of a run that are there."""
    return findings({key: record(fit.path) for key, fit in graph.fits(s).items() if fit.done})


def warn(s: Settings) -> None:
    """Print the findings on a run, as 50_train ends with them."""
    for finding in of_run(s):
        print(f"50_train warning: {finding.text}\n    {finding.remedy}", flush=True)


def findings(fits: Mapping[FitKey, dict]) -> list[Finding]:
    """At most one finding per fit; `fits` holds the artifact.json of each."""
    aucs = {key: fit["report"]["auc"] for key, fit in fits.items()}
    found = []
    for key, fit in fits.items():
        siblings = [auc for other, auc in aucs.items() if other[0] == key[0] and other != key]
        finding = (
            _below_siblings(key, fit["report"], siblings)
            or _at_chance(key, fit)
            or _still_rising(key, fit)
        )
        if finding:
            found.append(finding)
    return found


def _below_siblings(key: FitKey, report: dict, siblings: list[float]) -> Finding | None:
    """A fit that learned less than LEARNED of what the best of its siblings did.

    The difference of two AUCs that differ by chance has a standard error of sqrt(2) sigma.
    """
    if not siblings:
        return None
    auc, best = report["auc"], max(siblings)
    noise = NOISE * 2**0.5 * report.get("chance_error", 0)  # fits of an older version have none
    if best - auc <= noise or auc - 0.5 >= LEARNED * (best - 0.5):
        return None
    text = f"{name(key)} reached an AUC of {auc:.4f}, a sibling {best:.4f}"
    remedy = f"raise {key[0]}.fit.patience and {key[0]}.fit.decay_patience"
    return Finding(key, "below its siblings", text, remedy)


def _at_chance(key: FitKey, fit: dict) -> Finding | None:
    report = fit["report"]
    if report["auc"] > 0.5 + CHANCE * report.get("chance_error", 0):
        return None
    text = f"{name(key)} hardly ranks better than chance: AUC {report['auc']:.4f}"
    rising = _still_rising(key, fit)
    remedy = rising.remedy if rising else f"try another {key[0]}.fit.learning_rate, or more users"
    return Finding(key, "at chance", text, remedy)


def _still_rising(key: FitKey, fit: dict) -> Finding | None:
    """A fit whose best epoch is the last one that it was allowed."""
    report, allowed = fit["report"], _max_epochs(fit)
    if allowed == 1 or not report["best_epoch"] == len(report["epochs"]) == allowed:
        return None
    text = f"{name(key)} was still rising in epoch {allowed}, its last"
    return Finding(key, "still rising", text, f"raise {key[0]}.fit.max_epochs")


def _max_epochs(fit: dict) -> int:
    return fit["settings"]["network"]["fit"]["max_epochs"]


def name(key: FitKey) -> str:
    model, seed, fold = key
    return f"{model} seed {seed}" + ("" if fold == graph.OFFICIAL else f" fold {fold}")


def loss_rises(epochs: Sequence[dict]) -> list[tuple[int, float, float]]:
    """(epoch, loss before, loss) of each epoch whose mean training loss rose.

    Counted are rises by more than LOSS_RISE of the first epoch's loss. An epoch's mean hardly
    varies by chance and falls as long as training is stable; near zero it may double by chance.
    """
    losses = [epoch["loss"] for epoch in epochs]
    pairs = enumerate(itertools.pairwise(losses), start=2)
    return [(epoch, old, new) for epoch, (old, new) in pairs if new - old > LOSS_RISE * losses[0]]


def unstable(model: str, epochs: Sequence[dict], network_cfg: NetworkSettings) -> str | None:
    """What to say of a fit whose training loss rose; None of others."""
    rises = loss_rises(epochs)
    if not rises:
        return None
    remedy = f"{model}.fit.learning_rate"
    if network_cfg.interaction == "qnn":  # its authors saw unstable training with four rows
        remedy += f" or {model}.qnn.rows"
    epoch, before, after = max(rises, key=lambda rise: rise[2] - rise[1])
    most = f"from {before:.4f} to {after:.4f} in epoch {epoch}"
    more = f" and in {len(rises) - 1} more" if len(rises) > 1 else ""
    return f"unstable, the training loss rose {most}{more}; lower {remedy}"
