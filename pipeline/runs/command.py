"""Finished runs: listed, compared, removed.

    python -m pipeline runs
        list them
    python -m pipeline runs compare A B
        settings, data and scores that differ
    python -m pipeline runs clean --keep N [NAME ...]
        remove results that neither the N latest runs, `latest` nor those named
        need

A run's name is that of its submission's folder, such as research-1a2b3c4d. The
beginning of a name or of its hash is enough, and `latest` is the last run.
Runs are those in submissions/, and their results lie in artifacts/; where you
have changed these folders, add submissions=DIR artifacts=DIR. Submissions, with
zip, manifest and report, always stay.
"""

import argparse
from pathlib import Path

from features.errors import InputError
from pipeline.runs import clean, compare, listing
from pipeline.runs.find import find
from pipeline.runs.sizes import megabytes, size
from pipeline.runtime import cli

FOLDERS = ("artifacts", "submissions")  # settings that may be given, and their defaults


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline runs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [compare A B | clean --keep N [NAME ...]]",
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=int, metavar="N", help="of clean: how many runs stay")
    parser.add_argument("--dry-run", action="store_true", help="of clean: list, remove nothing")
    cli.main(parser, work, argv)


def work(arguments: argparse.Namespace) -> None:
    folders = {name: Path(name) for name in FOLDERS}
    words = []
    for word in arguments.words:
        name, is_setting, value = word.partition("=")
        if is_setting and name not in FOLDERS:
            raise InputError(f"{word}: expected artifacts=DIR or submissions=DIR, or names of runs")
        if is_setting:
            folders[name] = Path(value)
        else:
            words.append(word)
    action, names = (words[0], words[1:]) if words else ("list", [])
    if action != "clean" and (arguments.keep is not None or arguments.dry_run):
        raise InputError("--keep and --dry-run belong to: python -m pipeline runs clean --keep N")
    match action:
        case "list":
            print(listing.text(*folders.values()))
        case "compare":
            print_comparison(names, **folders)
        case "clean":
            clean_up(names, arguments.keep, arguments.dry_run, **folders)
        case _:
            raise InputError(f"runs {action}: expected compare or clean, or nothing for the list")


def print_comparison(names: list[str], artifacts: Path, submissions: Path) -> None:
    if len(names) != 2:
        raise InputError(f"runs compare: got {len(names)} names, expected two runs: A B")
    a, b = (find(submissions, name) for name in names)
    for line in compare.lines(a, b, artifacts):
        print(line, flush=True)


def clean_up(
    names: list[str], keep: int | None, dry_run: bool, artifacts: Path, submissions: Path
) -> None:
    if keep is None or keep < 1:
        raise InputError("runs clean: say how many of the latest runs stay, --keep N, at least 1")
    clean.refuse_at_work(artifacts)
    plan = clean.plan(artifacts, submissions, keep, [find(submissions, name) for name in names])
    total = 0
    gone = ((path, size(path)) for path in plan.remove) if dry_run else clean.remove(plan.remove)
    for path, n_bytes in gone:
        print(f"{megabytes(n_bytes):>12}  {path}", flush=True)
        total += n_bytes
    print(f"{megabytes(total):>12}  {'would be freed' if dry_run else 'freed'}")
    print(f"kept: {', '.join(run.name for run in plan.kept)}")
    if plan.stay:
        n_bytes = sum(size(path) for path in plan.stay)
        print(f"newer than the last run, kept too: {len(plan.stay)} results, {megabytes(n_bytes)}")
