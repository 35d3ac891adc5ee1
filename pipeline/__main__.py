"""Run the pipeline: raw data to a checked submission. Finished work is kept.

PROFILE is sample, microlens_release, challenge, microlens_1m, or the path of a
TOML; without one, microlens_1m where its data are in place, else sample.
key=value changes any setting. `runs` instead of PROFILE lists, compares and
removes finished runs: see runs --help.
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np

from features.errors import InputError
from features.store.store import open_store
from models.settings import NetworkSettings
from pipeline import graph
from pipeline.artifacts import spec
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.verify import DamagedArtifact, verify
from pipeline.config import listing
from pipeline.config.settings import Settings
from pipeline.reporting import leaderboard
from pipeline.reporting.scores import bayes_of, submitted_row, without_slates_row
from pipeline.runs import board, command
from pipeline.runtime import cli, processes
from pipeline.runtime.build import is_up_to_date
from pipeline.runtime.live import events
from pipeline.runtime.prefixes import one_of
from pipeline.training import health
from pipeline.training.tracking import trackers

LAST = graph.STAGES[-1]
DONE = "up to date"
FIGURES = ("cv", "valid", "hidden")  # of the last line


def main() -> None:
    if sys.argv[1:2] == ["runs"]:
        command.main(sys.argv[2:])
    names = graph.STAGES
    parser = cli.parser(__doc__)
    parser.prog = os.environ.get("RUN_AS", parser.prog)  # run_all.sh says its own name
    stage = {"type": one_of(names), "metavar": "STAGE"}
    first, last = "first stage; its number is enough: --from 50", "last stage, such as --to 60"
    parser.add_argument("--from", dest="first", default=names[0], help=first, **stage)
    parser.add_argument("--to", dest="last", default=LAST, help=last, **stage)
    parser.add_argument("--dry-run", action="store_true", help="print which stages would run")
    parser.add_argument(
        "--settings",
        nargs="?",
        const="",
        metavar="PREFIX",
        help="print every setting of this run, or those below PREFIX, such as qin.fit",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="first compare every byte of the finished results with the sha256 recorded for it",
    )
    parser.add_argument("--download", action="store_true", help="fetch the competition's files")
    parser.epilog = textwrap.fill(f"stages of --from and --to: {', '.join(names)}", 79)
    cli.main(parser, work)


def work(arguments) -> None:
    started = time.perf_counter()
    s = cli.load(arguments)
    if arguments.settings is not None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(listing.text(s, arguments.settings, studied(s), width))
        return
    note_old_results(Path(s.artifacts))
    if arguments.download:  # hours, after which what is missing should not be news
        stages = graph.stages(s)
        refuse_missing(s, [n for n in stages if arguments.first <= n <= arguments.last])
        run(s, "00_data", False, "--download")
    chosen = selected(s, arguments.first, arguments.last)
    if LAST in chosen:
        board.read(graph.board(s))  # a broken one is refused at once
    again = [stage for stage in chosen if arguments.force and stage >= arguments.first]
    if arguments.verify:
        print(verified(s, again), flush=True)
    if arguments.dry_run:
        for stage in chosen:
            print(f"{stage} {'to build again' if stage in again else status(s, stage)}")
        if "50_train" in chosen and "40_tune" not in chosen and None in studied(s).values():
            print(f"50_train needs a finished study: {graph.tune_command(s)}")
        return
    todo = [stage for stage in chosen if stage in again or not is_done(s, stage)]
    refuse_missing(s, todo)
    if not todo:
        print("everything is up to date: nothing to run")
    if events.shows_stdout():
        print(f"every line, whole: {cli.log(s)}")
    for stage in chosen:
        if stage == "50_train":
            refuse_external(s)
        announce(s, stage)
        run(s, stage, stage in again)
    if arguments.last == LAST:
        print(summary(s, time.perf_counter() - started))


def studied(s: Settings) -> dict[str, NetworkSettings | None]:
    """What the studies of train.settings=tuned have found; None where one is not finished."""
    try:
        found = graph.networks(s)
    except spec.MissingArtifact:
        return dict.fromkeys(s.tuned)
    return {model: found[model] for model in s.tuned}


def note_old_results(artifacts: Path) -> None:
    """Before the first run: results of an older version, which spelt the folder otherwise."""
    old = artifacts.with_name("artefacts")
    if old.is_dir() and not artifacts.exists():
        print(f"{old} has results of an older version, which are not read: delete or move it")


def selected(s: Settings, first: str, last: str) -> list[str]:
    """Stages from `first` to `last`, and before them those that they need and that are not done."""
    if first > last:
        raise InputError(f"--from {first} comes after --to {last}")
    names = graph.stages(s)
    return [n for n in names if first <= n <= last or (n < first and not is_done(s, n))]


def outputs(s: Settings, stage: str) -> list[ArtifactSpec]:
    """The artifacts that a stage writes in this run."""
    return [leaderboard.report_spec(s)] if stage == LAST else graph.OUTPUTS[stage](s)


def is_done(s: Settings, stage: str) -> bool:
    return status(s, stage) == DONE


def status(s: Settings, stage: str) -> str:
    """Up to date or to build, with the number of artifacts that are there already."""
    try:
        there = [target.done for target in outputs(s, stage)]
    except spec.MissingArtifact:  # of a stage before it
        return "to build"
    if all(there):
        return DONE
    return f"to build, {sum(there)} of {len(there)} done" if any(there) else "to build"


def verified(s: Settings, again: list[str]) -> str:
    """Check every byte of the results that this run would reuse; returns how many those are.

    Raises DamagedArtifact with the names of all that are damaged.
    """
    checked, damaged = [], []
    for target in (t for stage in graph.stages(s) if stage not in again for t in done(s, stage)):
        try:
            checked.append(verify(target.path, spec.record(target.path), at_most=math.inf))
        except DamagedArtifact as error:
            damaged.append((target.path, error))
    if damaged:
        more = "".join(f"; {path} is damaged too" for path, _ in damaged[1:])
        raise DamagedArtifact(f"{damaged[0][1]}{more}")
    files, size = (sum(counts) for counts in zip(*checked, strict=True)) if checked else (0, 0)
    return (
        f"verified {len(checked)} results, {files} files, {size / 1e6:.1f} MB:"
        " every sha256 is the recorded one"
    )


def done(s: Settings, stage: str) -> list[ArtifactSpec]:
    """The artifacts of a stage that are there."""
    try:
        return [target for target in outputs(s, stage) if target.done]
    except spec.MissingArtifact:  # of a stage before it
        return []


def refuse_missing(s: Settings, stages: list[str]) -> None:
    """Raise InputError where a stage would find, hours later, no package, GPU or precision that s
    names."""
    trackers.require(s)
    if s.train.backend == "dask" or {"40_tune", "50_train", "55_mask"}.isdisjoint(stages):
        return
    rounded = [m for m, cfg in s.networks.items() if cfg.fit.precision not in ("auto", "float32")]
    if s.train.device.startswith("cuda") or rounded:
        from pipeline.runtime import devices  # imports torch

        device = devices.pick_device(s.train.device)
        for model in rounded:
            devices.pick_precision(s, model, device)


def refuse_external(s: Settings) -> None:
    """Raise InputError where 60_blend would find, hours later, that it cannot read a file."""
    if s.blend.external:
        from pipeline.blending import external  # imports SciPy

        external.read(np.asarray(open_store(spec.require(graph.store(s))).test.id), s.blend)


def announce(s: Settings, stage: str) -> None:
    """Print which stage of how many begins."""
    names = graph.stages(s)
    number = f"stage {names.index(stage) + 1} of {len(names)}"
    print(f"{number} {stage}", flush=True)
    events.send(stage=stage, number=number)


def run(s: Settings, stage: str, force: bool, *options: str) -> None:
    """Run a stage in a process of its own, unless it is done; the last one always prints."""
    if not options and not force and stage != LAST and is_done(s, stage):
        for target in outputs(s, stage):
            is_up_to_date(target, force)
        if stage == "50_train":
            health.warn(s)
        return
    forced = ["--force"] if force else []
    command = [sys.executable, "-m", f"pipeline.{stage}", *s.arguments, *forced, *options]
    started = time.perf_counter()
    child = subprocess.Popen(command, env=processes.environment())
    returned, peak_mib = wait(child.pid)
    if returned == -signal.SIGKILL:
        raise InputError(f"{stage} was killed; if this machine ran out of memory, see its settings")
    if returned:
        raise SystemExit(returned)  # the stage has printed why
    if stage != LAST:  # whose table ends the output
        seconds = time.perf_counter() - started
        print(f"{stage} done in {seconds:.1f} s, peak {peak_mib} MiB", flush=True)


def wait(pid: int) -> tuple[int, int]:
    """Exit code and peak MiB of a child, which is interrupted when this process is."""
    signal.siginterrupt(signal.SIGINT, True)  # polars makes the kernel resume waits
    try:
        _, status, used = os.wait4(pid, 0)
    except KeyboardInterrupt:
        time.sleep(1)  # a terminal interrupts the child as well: then it needs no second signal
        if os.waitpid(pid, os.WNOHANG)[0] == 0:
            os.kill(pid, signal.SIGINT)
            os.waitpid(pid, 0)
        raise SystemExit(130) from None  # the stage has printed that it was interrupted
    return os.waitstatus_to_exitcode(status), used.ru_maxrss // 1024


def summary(s: Settings, seconds: float) -> str:
    """One line of JSON for scripts."""
    scores = read_json(leaderboard.report_spec(s).path / "scores.json")
    submitted, alone = submitted_row(scores), without_slates_row(scores)
    return json.dumps(
        {
            "profile": s.profile,
            "run": graph.submission(s).path.name,
            "submission": str(graph.submission(s).path / "submission.zip"),
            **{key: submitted[key] for key in FIGURES},
            "bayes": bayes_of(submitted, scores),
            "chosen_by": scores["chosen_by"],
            "tuned": scores["tuned"],
            "slates": submitted["slates"],
            "without_slates": alone
            and {"blend": alone["name"], **{key: alone[key] for key in FIGURES}},
            "seconds": round(seconds, 1),
        }
    )


if __name__ == "__main__":
    main()
