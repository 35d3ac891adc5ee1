"""What the stages' command lines share: PROFILE, key=value, --force, errors, one line a unit."""

import argparse
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

from tqdm import tqdm

import pipeline
from features.errors import InputError
from pipeline import INTERRUPTED, artefacts, processes, settings
from pipeline.artefacts import Place, Publication
from pipeline.locking import locked
from pipeline.settings import Settings

FULL = "; the disk is full or a limit is reached: make space and run the same command again"
DENIED = "; mend its permissions, or name others: artefacts=DIR submissions=DIR data.dir=DIR"
REMEDIES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), FULL)
REMEDIES |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), DENIED)
TORCHRUN = "TORCHELASTIC_RUN_ID"  # environment variable of processes that it started
NO_MEMORY = "this machine's memory is not enough for these inputs and settings; numpy says:"


def parser(doc: str) -> argparse.ArgumentParser:
    """The words that every stage understands; `doc` is the stage's docstring."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("profile", nargs="?", metavar="PROFILE", help="name, or path of a TOML")
    made.add_argument("words", nargs="*", metavar="key=value", help="settings, such as folds.n=3")
    made.add_argument("--force", action="store_true", help="redo what is already there")
    return made


def load(arguments: argparse.Namespace) -> Settings:
    """The settings of parsed `arguments`; without a PROFILE, the default one."""
    profile, words = arguments.profile, list(arguments.words)
    if profile is not None and "=" in profile:
        profile, words = None, [profile, *words]
    if profile is None:
        profile, why = settings.default_profile()
        print(f"profile {profile}: {why}", flush=True)
    return settings.load(profile, words)


def exit_code(work: Callable[[], None], team: bool = False) -> int:
    """Run `work`: 0, or one line on stderr and 2 for bad input, 130 when interrupted.

    Processes that torchrun started must know how to work as a `team`.
    """
    signal.signal(signal.SIGTERM, processes.Stop())  # `kill` and `timeout` end it too
    pipeline.begun = True
    try:
        processes.end_with_run()
        if TORCHRUN in os.environ and not team:
            raise InputError("torchrun is for pipeline.50_train alone: run this without it")
        work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that may not be written, a broken pipe
        print(f"error: {error}{remedy(error)}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"error: {NO_MEMORY} {str(error).partition(chr(10))[0]}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    finally:
        pipeline.begun = False
        signal.signal(signal.SIGTERM, pipeline.leave)
    return 0


def remedy(error: OSError) -> str:
    """What to do about it, where that can be told."""
    return REMEDIES.get(error.errno, "")


def stage(doc: str, work: Callable[[Settings, bool], None], argv: list[str] | None = None) -> None:
    """The main function of a stage: `work(settings, force)`, then exit."""
    arguments = parser(doc).parse_intermixed_args(argv)
    sys.exit(exit_code(lambda: work(load(arguments), arguments.force)))


def kept(place: Place, force: bool) -> bool:
    """Whether `place` is done and stays; says so, and from which code it comes."""
    if force or not place.done:
        return False
    record = artefacts.record(place.path)
    other = record["code"] != artefacts.code()
    note = (
        f" (made by other code, at commit {record['commit']}; --force redoes it)" if other else ""
    )
    print(f"{place.stage} {place.path} kept{note}", flush=True)
    return True


def make(
    place: Place, force: bool, fill: Callable[[Publication], dict], shared: bool = False
) -> None:
    """Publish `place` unless it is kept; `fill` writes it and returns what its line should say.

    Where another process is making it, wait for that one and keep what it made; unless the work is
    `shared`, which such processes do together.
    """
    if kept(place, force):
        return
    if shared:
        _make(place, fill)
        return
    with locked(place.lock, f"{place.stage} {place.path}") as waited:
        if not kept(place, force and not waited):
            _make(place, fill)


def _make(place: Place, fill: Callable[[Publication], dict]) -> None:
    started = time.perf_counter()
    with artefacts.publish(place) as out:
        facts = fill(out)
    said = " ".join(f"{k}={v}" for k, v in facts.items())
    print(f"{place.stage} {place.path} {said} ({time.perf_counter() - started:.1f} s)", flush=True)


def progress(items: Iterable, description: str) -> Iterable:
    """`items` behind a progress bar; silent where stderr is not a terminal."""
    return tqdm(items, desc=description, leave=False, disable=None)


class RowBars:
    """A bar a file, moved by calls (file name, rows done, rows of the file)."""

    def __init__(self) -> None:
        self.bars: dict[str, tqdm] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        bar = self.bars.get(name)
        if bar is None:
            bar = self.bars[name] = tqdm(
                total=total, desc=name, unit="rows", leave=False, disable=None
            )
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
