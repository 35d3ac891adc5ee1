"""Build an artifact unless it is up to date: one process at a time, one line for each."""

import time
from collections.abc import Callable

from pipeline.artifacts import provenance, spec, store
from pipeline.artifacts.locks import locked
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.store import ArtifactWriter


def is_up_to_date(place: ArtifactSpec, force: bool) -> bool:
    """Whether `place` is done and stays; says so, and from which code it comes."""
    if force or not place.done:
        return False
    record = spec.record(place.path)
    other = record["code"] != provenance.code()
    note = (
        f" (made by other code, at commit {record['commit']}; --force redoes it)" if other else ""
    )
    print(f"{place.stage} {place.path} kept{note}", flush=True)
    return True


def build(
    place: ArtifactSpec, force: bool, fill: Callable[[ArtifactWriter], dict], shared: bool = False
) -> None:
    """Publish `place` unless it is kept; `fill` writes it and returns what its line should say.

    Where another process is making it, wait for that one and keep what it made; unless the work is
    `shared`, which such processes do together.
    """
    if is_up_to_date(place, force):
        return
    if shared:
        _make(place, fill)
        return
    with locked(place.lock, f"{place.stage} {place.path}") as waited:
        if not is_up_to_date(place, force and not waited):
            _make(place, fill)


def _make(place: ArtifactSpec, fill: Callable[[ArtifactWriter], dict]) -> None:
    started = time.perf_counter()
    with store.write_artifact(place) as out:
        facts = fill(out)
    said = " ".join(f"{k}={v}" for k, v in facts.items())
    print(f"{place.stage} {place.path} {said} ({time.perf_counter() - started:.1f} s)", flush=True)
