"""Run pip so that the screen never stands still: pip's own bars, and a clock where it is silent.

    .venv/bin/python pipeline/runtime/install.py -r requirements.txt

pip draws a bar for each download; while it resolves, unpacks and compiles, it prints nothing for
minutes. It runs before anything is installed: the standard library alone.
"""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

SILENT_S = 1.0  # without output, after which the clock shows
SIZE = "80 packages; with torch's CPU build 1.9 GB and a minute or two, with CUDA's several GB"
CLEAR = b"\r\x1b[K"


def main(arguments: list[str]) -> int:
    """pip's exit code; 130 when interrupted."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    print(f"installing {arguments[-1]} into {sys.prefix}", flush=True)
    print(f"  {SIZE}", flush=True)
    if sys.stdout.isatty():
        code = below_terminal(command)
    else:
        code = subprocess.run([*command, "--quiet"]).returncode
    if code == 0:
        files = (path.lstat() for path in Path(sys.prefix).rglob("*"))
        size = sum(status.st_size for status in files)
        print(f"installed in {time.monotonic() - started:.0f} s, {size / 1e9:.1f} GB", flush=True)
    return code


def below_terminal(command: list[str]) -> int:
    """Run `command` in a terminal of its own; show what it prints, and a clock in its silence."""
    size = os.get_terminal_size(1)
    pid, master = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", size.lines, size.columns, 0, 0))
    started, at_line_start, clock = time.monotonic(), True, False
    try:
        while True:
            ready, _, _ = select.select([master], [], [], SILENT_S)
            if ready:
                data = _read(master)
                if not data:
                    break
                _write(CLEAR + data if clock else data)
                at_line_start, clock = data.endswith(b"\n"), False
            elif at_line_start:
                minutes, seconds = divmod(int(time.monotonic() - started), 60)
                _write(CLEAR + f"  {minutes:02}:{seconds:02} elapsed".encode())
                clock = True
        if clock:
            _write(CLEAR)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except KeyboardInterrupt:
        os.close(master)  # it gets SIGHUP
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        _write(CLEAR + b"interrupted: run the same command again\n")
        return 130


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
