"""Call a function in a subprocess, whose peak memory is then that of the function."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from features.errors import InputError


def call_in_subprocess(label: str, function: Callable, *arguments: Any) -> Any:
    """`function(*arguments)` in a new process; an exception that it raises is raised here.

    Raises InputError, which begins with `label`, when the process is killed.
    """
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_send_result, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        raise InputError(
            f"{label}: its process was killed; if this machine ran out of memory, ask for less"
        ) from None
    finally:
        process.terminate()
        process.join()
    if isinstance(result, Exception):
        raise result
    return result


def _send_result(sender: Connection, function: Callable, arguments: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the caller, which ends us
    try:
        sender.send(function(*arguments))
    except Exception as error:
        error.add_note(traceback.format_exc())
        sender.send(error)
