"""Progress of loops: live lines on a terminal, silent elsewhere."""

import time
from collections.abc import Iterator, Sequence

from pipeline.runtime.live import events


class Throttle:
    """Whether to report now: at most `events.PER_SECOND` times a second."""

    def __init__(self) -> None:
        self.due = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self.due:
            return False
        self.due = now + 1 / events.PER_SECOND
        return True


def progress_bar(items: Sequence, unit: str) -> Iterator:
    """`items`; a terminal shows how many of them are done."""
    for done, item in enumerate(items):
        events.total(unit, done, len(items))
        yield item
    events.total(unit, len(items), len(items))


class RowBars:
    """One live line per file; a call sets it: (file name, rows done, rows of the file)."""

    def __init__(self) -> None:
        self.is_due: dict[str, Throttle] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        if done >= total:
            events.end(name)
        elif self.is_due.setdefault(name, Throttle())():
            events.task(name, [f"  {name}", f"{done / total:.0%}", f"of {total} rows"])
