"""Work done one step ahead of who needs it, in a thread."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
END = object()


def prefetch(made: Iterator[T]) -> Iterator[T]:
    """The items of `made`; a thread makes the next one while this one is used, and no more.

    What `made` raises is raised where its item is needed.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, made, END)
        while (item := coming.result()) is not END:
            coming = thread.submit(next, made, END)
            yield item
