"""Run, never imported by the other folders.

A stage takes seconds to import what it needs; stopped then, it ends in the line it always ends in.
"""

import os
import signal
import sys

INTERRUPTED = "interrupted: what is finished is kept; run the same command again"
begun = False  # set where there is something to clear up, and somebody to do it


def interrupt(number: int, frame) -> None:
    """Handler of signals: KeyboardInterrupt once a stage has begun, before that the end."""
    if begun:
        signal.default_int_handler(number, frame)
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(130)


def leave(number, frame) -> None:
    """Handler of signals that come when a stage has said its last word."""
    os._exit(130)


# Only at this moment of `python -m pipeline.<stage>` is argv so; whoever imports a module of the
# package, tests above all, keeps the handlers it has. SIGINT may be ignored, as nohup has it. It is
# set once, here: polars puts a handler of its own before it, which ends a query.
if sys.argv[:1] == ["-m"]:
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
