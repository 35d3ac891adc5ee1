"""What the executors share: the type of their tasks, and the call that names its result."""

from collections.abc import Callable, Iterator
from typing import Any

Work = Callable[..., Any]
Tasks = dict[str, tuple]  # arguments of a call of `work`, by the name that a person knows it by
Results = Iterator[tuple[str, Any]]  # name and result of each task, as it ends


def call_named(name: str, work: Work, arguments: tuple) -> tuple[str, Any]:
    """The result of `work(*arguments)` with the name of its task."""
    return name, work(*arguments)
