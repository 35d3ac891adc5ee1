"""What a person sees of a run: record a command in a terminal, and look at the
screen each second.

    python -m bench.terminal --columns 80 --rows 24 -- ./run_all.sh sample

It prints, and writes to --out, every screen that it saw, and then the figures:
how long the screen stood still at most, live lines that were left behind among
the messages (they collided with one), and lines that were wider than the
terminal and so wrapped.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.runtime import usage

LIVE = re.compile(r"\d elapsed|\d of <=\d|\d+%\|")  # live lines, ours and tqdm's
SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[_\]].*?(?:\x1b\\|\x07)", re.DOTALL)


@dataclass
class Screen:
    """A terminal of `columns` x `rows` that knows what our lines use: \\r, \\n, and ESC [ A J K."""

    columns: int
    rows: int
    above: list[str] = field(default_factory=list)  # lines that have scrolled out
    wrapped: list[str] = field(default_factory=list)  # lines that went on in the next row
    row: int = 0
    column: int = 0

    def __post_init__(self) -> None:
        self.cells = [[" "] * self.columns for _ in range(self.rows)]

    def feed(self, text: str) -> None:
        """Show `text`; an escape sequence must be whole."""
        at = 0
        while at < len(text):
            sequence = SEQUENCE.match(text, at)
            if sequence:
                self._control(*sequence.groups())
                at = sequence.end()
            else:
                self._put(text[at])
                at += 1

    def lines(self) -> list[str]:
        """What stands on the screen."""
        return ["".join(row).rstrip() for row in self.cells]

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down()
        elif character >= " ":
            if self.column == self.columns:
                self.wrapped.append("".join(self.cells[self.row]))
                self.column = 0
                self._down()
            self.cells[self.row][self.column] = character
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == self.rows:
            self.above.append("".join(self.cells.pop(0)).rstrip())
            self.cells.append([" "] * self.columns)
            self.row -= 1

    def _control(self, parameter: str | None, letter: str | None) -> None:
        if letter == "A":
            self.row = max(self.row - int(parameter or 1), 0)
        elif letter in ("J", "K"):
            self.cells[self.row][self.column :] = [" "] * (self.columns - self.column)
            if letter == "J":
                for row in self.cells[self.row + 1 :]:
                    row[:] = [" "] * self.columns


@dataclass
class Recording:
    """What was seen: (seconds since the start, screen) at each look, and how the command ended."""

    screen: Screen
    looks: list[tuple[float, list[str]]]
    code: int

    def longest_still(self) -> float:
        """Seconds between two looks that differ, at most."""
        changes = [self.looks[0][0]]
        for (_, before), (at, after) in itertools.pairwise(self.looks):
            if before != after:
                changes.append(at)
        changes.append(self.looks[-1][0])
        return max(b - a for a, b in itertools.pairwise(changes))

    def messages(self) -> list[str]:
        """All that remains of the output: what has scrolled out, and the last screen."""
        return [line for line in [*self.screen.above, *self.screen.lines()] if line]

    def collisions(self) -> list[str]:
        """Messages that hold part of a live line."""
        return [line for line in self.messages() if LIVE.search(line)]


def record(
    command: Sequence[str], columns: int, rows: int, every: float = 1.0, **options
) -> Recording:
    """Run `command` in a terminal and look at the screen `every` so many seconds."""
    started, screen, text = time.monotonic(), Screen(columns, rows), ""
    looks: list[tuple[float, list[str]]] = []
    with terminal(command, columns, rows, **options) as (pid, master):
        due = started + every
        while True:
            ready, _, _ = select.select([master], [], [], max(due - time.monotonic(), 0))
            if ready:
                data = _read(master)
                if not data:
                    break
                text += data.decode(errors="replace")
                cut = text.rfind("\x1b", -64) if not text.endswith(("\n", "\r")) else -1
                whole = text if cut < 0 or SEQUENCE.match(text, cut) else text[:cut]
                screen.feed(whole)
                text = text[len(whole) :]
            if time.monotonic() >= due:
                looks.append((time.monotonic() - started, screen.lines()))
                due += every
        _, status = os.waitpid(pid, 0)
    looks.append((time.monotonic() - started, screen.lines()))
    return Recording(screen, looks, os.waitstatus_to_exitcode(status))


@contextlib.contextmanager
def terminal(
    command: Sequence[str], columns: int, rows: int, env: dict[str, str] | None = None
) -> Iterator[tuple[int, int]]:
    """The process of `command` and our end of its terminal."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, (env or os.environ) | {"TERM": "xterm"})
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    try:
        yield pid, master
    finally:
        os.close(master)


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError as error:
        if error.errno == errno.EIO:  # Linux's end of file
            return b""
        raise


def main(argv: Sequence[str] | None = None) -> None:
    parser = usage.parser(__doc__)
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks")
    parser.add_argument("--out", type=Path, help="file for the screens")
    parser.add_argument("command", nargs="+")
    a = parser.parse_args(argv)
    recording = record(a.command, a.columns, a.rows, a.every)
    if a.out:
        screens = (f"--- {at:.1f} s\n" + "\n".join(lines) for at, lines in recording.looks)
        a.out.write_text("\n".join(screens) + "\n", encoding="utf-8")
    print(f"exit code {recording.code} after {recording.looks[-1][0]:.1f} s,", end=" ")
    print(
        f"{len(recording.looks)} looks; longest without change: {recording.longest_still():.1f} s"
    )
    for what, lines in (
        ("collisions", recording.collisions()),
        ("wrapped lines", recording.screen.wrapped),
    ):
        print(f"{what}: {len(lines)}", *lines, sep="\n  ")
    sys.exit(recording.code)


if __name__ == "__main__":
    main()
