"""Runs of many mutated inputs: each is accepted or an InputError, fast and in little memory."""

import contextlib
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from features.errors import InputError

MAX_CPU_S = 20.0  # for one input
MAX_MEMORY = 4 << 30  # bytes beyond what the process has
QUICK_AND_LONG = pytest.mark.parametrize(
    "size",
    [
        pytest.param("quick", id="quick"),
        pytest.param("long", marks=pytest.mark.long, id="long"),
    ],
)


def examples(count: int) -> settings:
    """Hypothesis settings: `count` examples, the same in every run with the same modules imported.

    Hypothesis also draws constants of the imported modules: what one test file alone does not draw,
    the whole suite may.
    """
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def one_input(tally: Counter) -> Iterator[None]:
    """Count an input as accepted, refused (InputError) or a traceback (anything else)."""
    tally["tried"] += 1
    started = time.process_time()
    try:
        yield
        tally["accepted"] += 1
    except InputError as error:
        tally["refused"] += 1
        text = str(error)
        assert text.strip()
        assert text.replace("\n", "").isprintable()
        assert len(text) < 20_000
    except Exception:
        tally["traceback"] += 1
        raise
    assert time.process_time() - started < MAX_CPU_S


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * resource.getpagesize() + MAX_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def summary(what: str, tally: Counter) -> str:
    """One line that the tests print."""
    return (
        f"\n{what}: {tally['tried']} inputs tried, {tally['accepted']} accepted,"
        f" {tally['refused']} refused, {tally['wrong']} wrongly accepted,"
        f" {tally['traceback']} tracebacks"
    )
