"""Fits that stop before they have learned: small worlds, with and without the
warm-up of fits.

Each world is a sample of its own; its seed is the seed of the networks, too.
Every fit is trained with early stopping from the first step on
(models.training.warm_up.STEPS = 0). The warm-up changes a fit only where it
leaves out an epoch without a better AUC, so these fits alone are trained again
with it; the others end with the same bytes. `named` counts fits that
pipeline.training.health says did not learn.

reads   nothing: the worlds are generated
writes  OUT/artifacts/, data of each world and what its fits read;
        OUT/world<seed>.json, its fits: the same command resumes after the last
        of them
run     python -m bench.worlds.failed_fits [key=value ...] [--seeds 20]
        [--out artifacts/failed_fits]
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.tools.output import describe_machine, machine_line, table_header, table_row
from bench.worlds import stages
from features.store.atomic import atomic_file
from models.training import warm_up
from pipeline import graph
from pipeline.config.load import load
from pipeline.config.settings import Settings
from pipeline.graph import FitKey
from pipeline.runtime import cli, usage
from pipeline.runtime.compute import prepare_training
from pipeline.training import health
from pipeline.training.context import TrainingContext

SMALL = ("models=qin,din", "data.users=3000", "data.items=800", "folds.n=3", "train.device=cpu")
FAILED = 0.6  # an AUC below that of every fit that has begun to learn
COLUMNS = ("", "fits", f"below {FAILED}", "named", "lowest AUC", "mean AUC", "epochs")
Fits = dict[FitKey, dict]  # artifact.json of each, as far as `health` reads it


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("artifacts/failed_fits"))
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Train every world's fits, then print the table."""
    prepare_training(1)
    print(machine_line(describe_machine()), flush=True)
    worlds: list[tuple[Fits, Fits]] = []
    for seed in range(arguments.seeds):
        own = [f"data.seed={seed}", f"train.seeds={seed}", f"artifacts={arguments.out}/artifacts"]
        path = arguments.out / f"world{seed}.json"
        if not path.exists():
            fits = trained(load("sample", [*SMALL, *arguments.overrides, *own]))
            with atomic_file(path) as scratch:
                scratch.write_text(json.dumps(fits), encoding="utf-8")
        worlds.append(read(path))
    print("\n".join(markdown(worlds)), flush=True)


def trained(s: Settings) -> list[tuple[FitKey, dict, dict | None]]:
    """Every fit of `s` without a warm-up, and with it where that may change it."""
    stages.run(s, "30_features")
    context = TrainingContext.of_run(s)
    fits = []
    for key in graph.fits(s):
        without, again = one_fit(context, key, max_steps=0), None
        if waits(without["report"]):
            again = one_fit(context, key, max_steps=warm_up.STEPS)
        aucs = [f"{fit['report']['auc']:.5f}" for fit in (without, again or without)]
        print(f"{health.name(key)} AUC without a warm-up {aucs[0]}, with it {aucs[1]}", flush=True)
        fits.append((key, without, again))
    return fits


def read(path: Path) -> tuple[Fits, Fits]:
    """A world's fits without a warm-up and with it; the same object where it changes nothing."""
    fits = [(tuple(key), *pair) for key, *pair in json.loads(path.read_text(encoding="utf-8"))]
    return {k: fit for k, fit, _ in fits}, {k: again or fit for k, fit, again in fits}


def one_fit(context: TrainingContext, key: FitKey, max_steps: int) -> dict:
    """A fit whose warm-up takes `max_steps` at most."""
    fit_cfg, steps, before = context.settings.networks[key[0]].fit, [], warm_up.STEPS

    def counted(plan, _):
        steps.append(len(plan))
        return plan

    warm_up.STEPS = max_steps
    try:
        fit = context.train(key, progress=counted, each_epoch=lambda epoch, record: None)
    finally:
        warm_up.STEPS = before
    report = {
        "auc": fit.auc,
        "chance_error": fit.chance_error,
        "best_epoch": fit.report.best_epoch,
        "epochs": fit.report.epochs,
        "steps": steps[0],
        "stop_error": fit.report.chance_error,
    }
    return {"settings": {"network": {"fit": {"max_epochs": fit_cfg.max_epochs}}}, "report": report}


def waits(report: dict) -> bool:
    """Whether an epoch without a better AUC lies in the warm-up of this curve."""
    best = 0.0
    for epoch, record in enumerate(report["epochs"], start=1):
        if record["score"] <= best and not warm_up.is_over(
            best, report["stop_error"], epoch * report["steps"]
        ):
            return True
        best = max(best, record["score"])
    return False


def markdown(worlds: list[tuple[Fits, Fits]]) -> list[str]:
    """Two rows per network: without and with the warm-up."""
    lines = table_header(COLUMNS).splitlines()
    for model in dict.fromkeys(model for without, _ in worlds for model, _, _ in without):
        for i, rule in enumerate(("without", "with")):
            lines.append(table_row((f"{model}, {rule}", *_cells(list(_of(worlds, model, i))))))
    n_again = sum(
        without[key] is not with_it[key] for without, with_it in worlds for key in without
    )
    lines.append(f"{n_again} fits were trained again with the warm-up.")
    return lines


def _of(worlds: list[tuple[Fits, Fits]], model: str, i: int) -> Iterator[tuple[dict, bool]]:
    """The reports of a network's fits, and whether `health` names them."""
    for world in worlds:
        named = {finding.fit for finding in health.findings(world[i]) if not finding.learned}
        for key, fit in world[i].items():
            if key[0] == model:
                yield fit["report"], key in named


def _cells(fits: list[tuple[dict, bool]]) -> list[str]:
    aucs = [report["auc"] for report, _ in fits]
    epochs = [len(report["epochs"]) for report, _ in fits]
    return [
        f"{len(fits)}",
        f"{sum(auc < FAILED for auc in aucs)}",
        f"{sum(named for _, named in fits)}",
        f"{min(aucs):.4f}",
        f"{statistics.fmean(aucs):.4f}",
        f"{statistics.fmean(epochs):.1f}, at most {max(epochs)}",
    ]


if __name__ == "__main__":
    sys.exit(main())
