"""One item of an iterator is made ahead, in a thread."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
END = object()


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The same items; a thread makes the next one while the caller uses this one.

    An error of `items` is raised when its item is asked for.
    """
    with ThreadPoolExecutor(1) as thread:
        pending = thread.submit(next, items, END)
        while (item := pending.result()) is not END:
            pending = thread.submit(next, items, END)
            yield item
