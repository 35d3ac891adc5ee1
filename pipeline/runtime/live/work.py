"""What a run is doing now, as its events report it, and the live lines that show it."""

import statistics
from dataclasses import dataclass, field

from tqdm import tqdm

WHEEL = "|/-\\"  # turns once a second
MORE = "and {} more"
SETTLED = 10.0  # seconds of a task, before which its share says nothing: the first steps are slow


@dataclass
class Task:
    """One live line: see pipeline.runtime.live.events. `began` is in seconds of a clock."""

    pid: int
    fields: list[str]
    share: float
    at_most: bool
    began: float


@dataclass
class Work:
    """The present stage. Times are in seconds of any one clock."""

    stage: str
    began: float
    number: str = ""
    unit: str = ""
    done: int = 0
    of: int = 0
    at_once: int = 1
    note: str = ""
    first: tuple[int, float] = (0, 0.0)  # done and time, when the counting began
    last: float = 0.0  # when `done` rose
    tasks: dict[str, Task] = field(default_factory=dict)
    durations: list[float] = field(default_factory=list)  # of tasks that have ended

    def apply(self, event: dict, now: float) -> None:
        """Take an event at the time `now`."""
        if "total" in event:
            self._count(event, now)
        elif "gone" in event:
            pid = event["gone"]
            self.tasks = {name: t for name, t in self.tasks.items() if pid and t.pid != pid}
        elif "task" in event:
            self._show(event, now)

    def _count(self, event: dict, now: float) -> None:
        if (event["total"], event["of"]) != (self.unit, self.of):
            self.first, self.last = (event["done"], now), now
        elif event["done"] > self.done:
            self.last = now
        self.unit, self.done, self.of = event["total"], event["done"], event["of"]
        self.at_once, self.note = event["at_once"], event["note"]

    def _show(self, event: dict, now: float) -> None:
        name = event["task"]
        if not event["fields"]:
            ended = self.tasks.pop(name, None)
            if ended is not None and ended.share > 0:
                self.durations.append(now - ended.began)
            return
        began = self.tasks[name].began if name in self.tasks else now
        fields, share, at_most = event["fields"], event["share"], event["at_most"]
        self.tasks[name] = Task(event["pid"], fields, share, at_most, began)

    def lines(self, now: float, width: int, most: int) -> list[str]:
        """The live lines, at most `most` and each as narrow as `width` where it can be."""
        shown = list(self.tasks.values())[: max(most - 2, 0)]
        lines = [_joined(task.fields, width) for task in shown]
        if len(shown) < len(self.tasks):
            lines.append("  " + MORE.format(len(self.tasks) - len(shown)))
        return [*lines, self.total_line(now, width)]

    def total_line(self, now: float, width: int) -> str:
        """A wheel that turns, stage, count, time since it began and time left."""
        count = [f"{self.done} of {self.of} {self.unit}"] if self.of else []
        times = [f"{interval(now - self.began)} elapsed", *self._left(now)]
        line = f"{self.stage}  {', '.join([*count, *times, *filter(None, [self.note])])}"
        numbered = f"{self.number} {line}".strip()
        wheel = WHEEL[int(len(WHEEL) * (now - self.began)) % len(WHEEL)]
        return f"{wheel} {numbered if len(numbered) <= width - 2 else line}"

    def _left(self, now: float) -> list[str]:
        seconds = self.seconds_left(now)
        if seconds is None or self.done == self.of:
            return []
        bound = not self.durations and any(task.at_most for task in self.tasks.values())
        return [f"{'at most' if bound else 'about'} {interval(seconds)} left"]

    def seconds_left(self, now: float) -> float | None:
        """An estimate: what is left takes as long as what has ended; None where nothing has.

        Before the first task has ended: as long as the tasks at work will take, by their shares,
        once one of them has been at work for SETTLED seconds.
        """
        n_left = self.of - self.done
        ages = [now - task.began for task in self.tasks.values()]
        shares = [task.share for task in self.tasks.values()]
        paces = zip(ages, shares, strict=True)
        known = [age / share for age, share in paces if share > 0 and age >= SETTLED]
        if self.durations or (known and self.of):
            mean = statistics.fmean(self.durations or known)
            rest = [max(mean - age, 0.0) for age in ages]
            waiting = max(n_left - len(ages), 0) * mean
            return max((waiting + sum(rest)) / self.at_once, *rest, 0.0) if self.of else None
        done, began = self.first
        if self.done > done:
            each = (self.last - began) / (self.done - done)
            return max(n_left * each - (now - self.last), 0.0)
        return None


def interval(seconds: float) -> str:
    """Such as 02:05 or 1:02:05."""
    return tqdm.format_interval(seconds)


def rate(per_second: float) -> str:
    """Such as 12.3k rows/s."""
    return f"{tqdm.format_sizeof(per_second)} rows/s"


def _joined(fields: list[str], width: int) -> str:
    """The fields two spaces apart; one where that is too wide, and without the last ones."""
    wide = "  ".join(fields)
    if len(wide) <= width:
        return wide
    while len(fields) > 1 and len(" ".join(fields)) > width:
        fields = fields[:-1]
    return " ".join(fields)
