"""What the stages' command lines share: PROFILE, key=value, --force, errors, one line a unit."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable

import pipeline
from features.errors import InputError
from pipeline import INTERRUPTED
from pipeline.config import load as load_config
from pipeline.config.settings import Settings
from pipeline.runtime import processes

FULL = "; the disk is full or a limit is reached: make space and run the same command again"
DENIED = "; mend its permissions, or name others: artifacts=DIR submissions=DIR data.dir=DIR"
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
        profile, why = load_config.default_profile()
        print(f"profile {profile}: {why}", flush=True)
    return load_config.load(profile, words)


def exit_code(work: Callable[[], None], team: bool = False) -> int:
    """Run `work`: 0, or one line on stderr and 2 for bad input, 130 when interrupted.

    Processes that torchrun started must know how to work as a `team`.
    """
    signal.signal(signal.SIGTERM, processes.SigtermHandler())  # `kill` and `timeout` end it too
    pipeline.begun = True
    try:
        processes.die_with_run()
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
