"""Run, never imported by the other folders.

A stage takes seconds to import what it needs; stopped then, it ends in the line it always ends in.
"""

import os
import signal
import sys

INTERRUPTED = "interrupted: what is finished is kept; run the same command again"


def stop_at_once(*_) -> None:
    """Handler of signals while nothing has been begun."""
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(130)


# Only at this moment of `python -m pipeline.<stage>` is argv so; whoever imports a module of the
# package, tests above all, keeps the handlers it has. SIGINT may be ignored, as nohup has it.
if sys.argv[:1] == ["-m"]:
    signal.signal(signal.SIGTERM, stop_at_once)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop_at_once)
