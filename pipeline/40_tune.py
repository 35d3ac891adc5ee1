"""40_tune: better settings for a network, by trials on the folds. Changes no
setting by itself.

reads   artifacts/<profile>/10_prepare/, artifacts/<profile>/20_folds/,
        models/spaces/<model>.toml;
        25_prefixes/ and 30_features/, for networks that train on prefixes or
        have columns
writes  artifacts/<profile>/40_tune/<model>-<folds>-<hash>/
        best.toml, what to change in the network's own TOML, which 50_train
        takes with train.settings=tuned; tune.json, every trial
        artifacts/<profile>/40_tune/studies.journal, or the database of
        tune.storage: the studies; artifacts/<profile>/40_tune/studies.files/:
        the files that their dashboard shows
run     python -m pipeline.40_tune PROFILE model=qin tune.trials=50
        [--workers N] [key=value ...]
        python -m pipeline.40_tune PROFILE --repair
        which fails trials of workers that were killed
        python -m pipeline.40_tune PROFILE --dashboard [--port 8080]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import argparse
import functools

import optuna

from features.errors import InputError
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import build
from pipeline.training.tracking import trackers
from pipeline.tuning import dashboard, results, stale_trials, workers
from pipeline.tuning.optuna_output import silence_optuna
from pipeline.tuning.storage import database_errors, open_existing_storage
from pipeline.tuning.studies import Search, count


def work(s: Settings, force: bool, n_workers: int = 0) -> None:
    if s.tune.trials == 0:
        raise InputError("tune.trials = 0: set the number of trials, such as tune.trials=50")
    if n_workers < 0:
        raise InputError(f"--workers {n_workers} must be at least 0 (as many as fit)")
    trackers.require(s)
    for model in s.tune.models:
        search = Search.of(s, model)
        build(search.spec, force, functools.partial(write, search, n_workers), shared=True)


def write(search: Search, n_workers: int, out: ArtifactWriter) -> dict:
    study = workers.run(search, n_workers)
    facts = results.write(search, study, out.path)
    dashboard.attach_best(study, search.settings, out / "best.toml", facts["trials"])
    out.report["finished"] = facts["trials"]
    return facts


def repair(s: Settings) -> None:
    """Fail the trials of workers that were killed, in every study of the profile."""
    storage = open_existing_storage(s)
    left = 0
    names = optuna.get_all_study_names(storage)
    for name in (n for n in names if n.startswith(f"{s.profile}-")):
        study = optuna.load_study(study_name=name, storage=storage)
        for trial in stale_trials.repair(study):
            print(f"40_tune {name} trial {trial.number} failed, its settings are queued again")
        left += count(study, optuna.trial.TrialState.RUNNING)
    print(f"40_tune repaired: {left} trials are running")


def main(argv: list[str] | None = None) -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per GPU or core")
    parser.add_argument("--repair", action="store_true", help="fail trials of killed workers")
    parser.add_argument(
        "--dashboard", action="store_true", help=f"serve the studies on {dashboard.HERE}"
    )
    parser.add_argument("--port", type=int, help="of the dashboard, 8080; 0: any")
    cli.main(parser, run, argv)


def run(arguments: argparse.Namespace) -> None:
    typed = [arguments.profile, *arguments.overrides]
    arguments.profile, *arguments.overrides = [word for one in typed for word in spelt_out(one)]
    s = cli.load(arguments)
    silence_optuna()
    if arguments.repair and arguments.dashboard:
        raise InputError("--repair and --dashboard exclude each other: use one at a time")
    if arguments.port is not None and not arguments.dashboard:
        raise InputError(f"--port {arguments.port} is not read without --dashboard")
    with database_errors(s):
        if arguments.repair:
            repair(s)
        elif arguments.dashboard:
            dashboard.serve(s, 8080 if arguments.port is None else arguments.port)
        else:
            work(s, arguments.force, arguments.workers)


def spelt_out(word: str | None) -> list[str | None]:
    """`model=qin` is short for `models=qin tune.models=qin`."""
    key, _, model = (word or "").partition("=")
    return [f"models={model}", f"tune.models={model}"] if key == "model" else [word]


if __name__ == "__main__":
    main()
