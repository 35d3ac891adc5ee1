"""What a tracker is: a tool that keeps and draws the curves of fits and trials, by train.log.

A fit and a trial is a run of the tracker. It gets its settings when it starts, values after every
epoch, and scores when it ends. A run that starts again replaces the one of the same name: a fit
that resumes logs the epochs before first, so that its curve has each epoch once.

Logging changes no byte of a fit and is in no fit's name. If it fails (a full disk, a server that is
gone), the fit ends with that error and can be resumed.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

Values = Mapping[str, float]


class TrackedRun(Protocol):
    """One fit or trial."""

    def log(self, step: int, values: Values) -> None:
        """Values after a step: an epoch of a fit, from 1, or a fold of a trial, from 0."""
        ...

    def finish(self, scores: Values) -> None:
        """The scores of a run that ended well."""
        ...


class Tracker(Protocol):
    """A tool that keeps runs, in groups such as "50_train"."""

    def open(self, group: str) -> str:
        """Make the group ready for several processes; what to type to look at it."""
        ...

    def has(self, group: str, name: str) -> bool:
        """Whether there is a finished run of this name."""
        ...

    def start(
        self, group: str, name: str, settings: Mapping[str, Any]
    ) -> AbstractContextManager[TrackedRun]:
        """A run in place of the one of the same name, closed when the context ends.

        settings  plain values by their dotted name
        """
        ...


class Untracked:
    """train.log=off: the tracker, and all of its runs."""

    def open(self, group: str) -> str:
        return ""

    def has(self, group: str, name: str) -> bool:
        return True

    @contextmanager
    def start(self, group: str, name: str, settings: Mapping[str, Any]) -> Iterator[TrackedRun]:
        yield self

    def log(self, step: int, values: Values) -> None:
        pass

    def finish(self, scores: Values) -> None:
        pass


UNTRACKED = Untracked()
