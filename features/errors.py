"""The one error class of the project: bad input that its owner can fix; lists in its messages."""

from collections.abc import Sequence


class InputError(ValueError):
    """Input or settings that cannot be used: what we got, what we expected, what to do.

    Stages print it without a traceback and end with exit code 2; other exceptions are our bugs.
    """


def listed(names: Sequence[str], most: int) -> str:
    """At most so many names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
