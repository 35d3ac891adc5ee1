"""What the stages' command lines share: PROFILE, key=value, --force, and how a stage ends.

A stage's file installs the handlers of signals.py before its other imports, so that a signal that
comes while it imports ends it at once.
"""

import argparse
import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from features.errors import InputError
from features.store.atomic import FULL_ERRORS
from pipeline.config import load as load_config
from pipeline.config.settings import Settings
from pipeline.runtime import processes, signals, usage
from pipeline.runtime.live import events

FULL = "; the disk is full or a limit is reached: make space and run the same command again"
DENIED = "; fix its permissions, or name others: artifacts=DIR submissions=DIR data.dir=DIR"
REMEDIES = dict.fromkeys(FULL_ERRORS, FULL)
REMEDIES |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), DENIED)
TORCHRUN = "TORCHELASTIC_RUN_ID"  # environment variable of processes that torchrun started
NO_MEMORY = "this machine's memory is not enough for these inputs and settings; numpy says:"


def stage(
    doc: str, work: Callable[[Settings, bool], None], argv: Sequence[str] | None = None
) -> NoReturn:
    """The main function of a stage without options of its own: `work(settings, force)`."""
    main(parser(doc), lambda arguments: work(load(arguments), arguments.force), argv)


def main(
    arguments: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Parse the command line, run `work` on it, and exit."""
    print_in_any_locale()
    parsed = arguments.parse_intermixed_args(argv)
    sys.exit(exit_code(lambda: work(parsed)))


def parser(doc: str) -> argparse.ArgumentParser:
    """A parser of the arguments that every stage understands; `doc` is the stage's docstring."""
    parser = usage.parser(doc)
    parser.add_argument("profile", nargs="?", metavar="PROFILE", help="name, or path of a TOML")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings, such as folds.n=3"
    )
    parser.add_argument("--force", action="store_true", help="build again what is up to date")
    return parser


def load(arguments: argparse.Namespace) -> Settings:
    """The settings of parsed `arguments`; without a PROFILE, those of the default one."""
    profile, overrides = arguments.profile, list(arguments.overrides)
    if profile is not None and "=" in profile:
        profile, overrides = None, [profile, *overrides]
    if profile is None:
        profile, why = load_config.default_profile()
        print(f"profile {profile}: {why}", flush=True)
    s = load_config.load(profile, overrides)
    events.send(log=str(log(s)))
    return s


def log(s: Settings) -> Path:
    """The file that gets every line of the last command that had a terminal."""
    return Path(s.artifacts) / s.profile / "run.log"


def exit_code(work: Callable[[], None], distributed: bool = False) -> int:
    """Run `work`: 0, or one line on stderr and 2 for bad input, 130 when interrupted.

    141 in silence where nobody reads its output any longer, as under `| head`: the shell's code for
    SIGPIPE, which Python ignores.

    `distributed`: whether it may run in several processes that torchrun started.
    """
    print_in_any_locale()
    with signals.stage():
        try:
            processes.die_with_run()
            if TORCHRUN in os.environ and not distributed:
                raise InputError("torchrun is for pipeline.50_train alone: run this without it")
            work()
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:  # a full disk, a folder that may not be written, a broken pipe
            if isinstance(error, BrokenPipeError) and reader_is_gone():
                # Python flushes stdout once more as it exits, and would complain that it cannot.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 141
            print(f"error: {error}{remedy(error)}", file=sys.stderr)
            return 2
        except MemoryError as error:
            print(f"error: {NO_MEMORY} {str(error).partition(chr(10))[0]}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            with contextlib.suppress(KeyboardInterrupt):  # a second signal, while it prints
                print(signals.INTERRUPTED, file=sys.stderr)
            return 130
    return 0


def reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads; another broken pipe is an error like others."""
    poll = select.poll()
    poll.register(sys.stdout, 0)  # errors are reported whatever is asked for
    return any(event & select.POLLERR for _, event in poll.poll(0))


def print_in_any_locale() -> None:
    """From now on, characters that the terminal's encoding lacks are escaped: \\xb1 for ±."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else a test or a Dask worker reads it
            stream.reconfigure(errors="backslashreplace")


def text(argument: str) -> str:
    """The type of an option that is written to a file. Raises ArgumentTypeError for other bytes."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        locale = f"this locale ({sys.getfilesystemencoding()})"
        raise argparse.ArgumentTypeError(
            f"{argument!a} is no text in {locale}: type plain ASCII, or set LC_ALL=C.UTF-8"
        ) from None
    return argument


def remedy(error: OSError) -> str:
    """What the user can do about it, if we know that."""
    return REMEDIES.get(error.errno, "")
