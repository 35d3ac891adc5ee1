"""Call a function in a process of its own, so that its peak memory is its own."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from features.errors import InputError


def alone(what: str, function: Callable, *arguments: Any) -> Any:
    """`function(*arguments)` of a fresh process; its exceptions are raised here.

    Raises InputError, naming `what`, when the process is killed.
    """
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_answer, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        raise InputError(
            f"{what}: its process was killed; if this machine ran out of memory, ask for less"
        ) from None
    finally:
        process.terminate()
        process.join()
    if isinstance(result, Exception):
        raise result
    return result


def _answer(sender: Connection, function: Callable, arguments: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller is interrupted, and ends this process
    try:
        sender.send(function(*arguments))
    except Exception as error:
        error.add_note(traceback.format_exc())
        sender.send(error)
