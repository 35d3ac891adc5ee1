"""A ladder of settings: from a published network one change a rung, over seeds, on
several worlds.

WORLD   sample       the generated world
        popularity   MicroLens-50k (--microlens), negatives by popularity
        mixed        the same, half of the negatives by popularity
        untouched    another split and other negatives, for the end
        instruments  Amazon Instruments as a release (--instruments)
        name=profile,key=value,...    any other
reads   what the stages before 50_train write for each world; runs them where
        it is missing
writes  the fits, as 50_train does and in the same folder: run it again to
        resume; with --hidden a counter, artifacts/<profile>/hidden_looks.json
run     python -m bench.ladder WORLD [WORLD ...] [key=value ...]
        [--rungs qin,din/softmax] [--seeds 0,1,2] [--folds official]
        [--microlens FOLDER] [--instruments FOLDER] [--hidden]

Rungs, what they change, which of them were kept: bench/ladder/rungs.py. The
AUC is that of official valid; differences have a 95 % interval over users and
seeds (cv/trainings.py). Within slates: each row's log odds by a softmax over
its slate (bench/slates.py). key=value is for all worlds. --folds official
trains on all train rows, as rules=strict does; --folds 0,1 on the others'
rows.
"""

import argparse
import sys
import time

from bench.ladder import hidden, rungs, tables, worlds
from bench.ladder.rungs import Rung
from bench.ladder.worlds import World
from bench.tools import trained
from bench.tools.trained import Fits, applies_to
from features.errors import InputError
from pipeline.config import load as load_config
from pipeline.config.settings import Settings
from pipeline.runtime import cli, usage

OFFICIAL = "official"
SET_HERE = {"models": "--rungs", "train.seeds": "--seeds", "folds.mode": "--folds"}


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("words", nargs="+", metavar="WORLD", help="see above; or key=value for all")
    parser.add_argument("--rungs", default="", help="comma-separated; all by default")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--folds", default=OFFICIAL, help="official, or fold numbers: 0,1")
    parser.add_argument("--microlens", default="", metavar="FOLDER", help="the release")
    parser.add_argument("--instruments", default="", metavar="FOLDER", help="as a release")
    parser.add_argument("--hidden", action="store_true", help="show the AUC on hidden labels")
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Train the missing fits of each world, then print its table."""
    started, n_trained, n_fits = time.perf_counter(), 0, 0
    chosen = rungs.chosen(arguments.rungs)
    todo, typed = worlds.read(arguments.words, arguments)
    for override in typed:
        key = override.partition("=")[0]
        if key in SET_HERE:
            raise InputError(f"{override}: the ladder sets {key}; use {SET_HERE[key]}")
    settings = {world: settings_of(world, chosen, typed, arguments) for world in todo}
    for number, (world, by_rung) in enumerate(settings.items(), start=1):
        fits = {rung: (s, fits_of(world, rung, s, arguments)) for rung, s in by_rung.items()}
        missing = trained.missing(fits.values(), force=False)
        n_here = len({fit.path for _, specs in fits.values() for fit in specs.values()})
        where = f"world {number} of {len(todo)}, {world.name}"
        print(
            f"\n{where}: {len(chosen)} rungs, {len(missing)} of {n_here} fits to train", flush=True
        )
        trained.train(missing, force=False)
        n_trained, n_fits = n_trained + len(missing), n_fits + n_here
        print_table(world, fits, arguments)
    facts = f"worlds={len(todo)} rungs={len(chosen)} fits={n_fits} trained={n_trained}"
    print(f"\nladder done: {facts} ({(time.perf_counter() - started) / 60:.1f} min)")


def settings_of(
    world: World, chosen: list[Rung], typed: list[str], arguments: argparse.Namespace
) -> dict[Rung, Settings]:
    """The settings of every rung in `world`; all are checked before anything is trained."""
    found = {}
    mode = "official" if arguments.folds == OFFICIAL else "kfold"
    for rung in chosen:
        common = [o for o in (*world.overrides, *typed) if applies_to(o, rung.network)]
        own = [f"models={rung.network}", f"train.seeds={arguments.seeds}", f"folds.mode={mode}"]
        found[rung] = load_config.load(world.profile, [*common, *rungs.overrides(rung), *own])
        if arguments.hidden:
            hidden.refuse_unknown(found[rung], world.name)
    return found


def fits_of(world: World, rung: Rung, s: Settings, arguments: argparse.Namespace) -> Fits:
    """The fits of a rung; runs the stages before them."""
    try:
        return trained.fits_of(s, "" if arguments.folds == OFFICIAL else arguments.folds)
    except InputError as error:
        raise InputError(f"{world.name}, rung {rung.label}: {error}") from None


def print_table(
    world: World, fits: dict[Rung, tuple[Settings, Fits]], arguments: argparse.Namespace
) -> None:
    """The table of finished fits."""
    s, _ = next(iter(fits.values()))
    labels = hidden.Hidden(s) if arguments.hidden else None
    results = {rung: tables.read(*of_rung, labels) for rung, of_rung in fits.items()}
    look = hidden.count_look(s) if arguments.hidden else ""
    print(f"\n{world.name}, {world.profile}, seeds {arguments.seeds}, folds {arguments.folds}\n")
    print("\n".join(tables.markdown(results, s.official, look)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
