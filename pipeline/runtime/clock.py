"""Run a command; on a terminal a clock ticks below its output while it is silent.

    python3 pipeline/runtime/clock.py .venv/bin/python -m pip install -r requirements.txt

pip draws a bar for each download; while it resolves, unpacks and compiles, it prints nothing for
minutes. This runs before anything is installed: the standard library alone.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

SILENT_S = 0.9  # without output, after which the clock shows
CLEAR = b"\r\x1b[K"
ENDS_LINE = re.compile(rb"\n(\x1b\[[0-9;?]*[A-Za-z])*\Z")  # pip turns its colours off after it


def main(command: list[str]) -> int:
    """The exit code of `command`; 130 when interrupted."""
    try:
        return below_terminal(command) if os.isatty(1) else subprocess.run(command).returncode
    except KeyboardInterrupt:
        print("interrupted: run the same command again")
        return 130


def below_terminal(command: list[str]) -> int:
    """Run `command` in a terminal of its own, and show what it prints."""
    size = os.get_terminal_size(1)
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", size.lines, size.columns, 0, 0))
    try:
        follow(master)
    finally:
        os.close(master)  # if it still runs, it gets SIGHUP
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def follow(master: int) -> None:
    """Copy what comes from `master` to stdout until it ends, and tick where that leaves a line."""
    started, free, ticks = time.monotonic(), True, False
    while True:
        ready, _, _ = select.select([master], [], [], SILENT_S)
        if not ready and free:
            minutes, seconds = divmod(int(time.monotonic() - started), 60)
            _write(CLEAR + f"  {minutes:02}:{seconds:02} elapsed".encode())
            ticks = True
        elif ready:
            data = _read(master)
            _write(CLEAR * ticks + data)
            if not data:
                return
            free, ticks = bool(ENDS_LINE.search(data)), False


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # Linux's end of a terminal
        return b""


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
