"""Build an artifact unless it is up to date: one process at a time, one line for each."""

import functools
import time
from collections.abc import Callable

from pipeline.artifacts import provenance, spec, store
from pipeline.artifacts.locks import locked
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.store import ArtifactWriter
from pipeline.artifacts.verify import verify
from pipeline.config.settings import Settings
from pipeline.runtime.live import events

DATA = "00_data"
Facts = dict[str, object]  # what the line about an artifact tells of it


def builds(
    spec_of: Callable[[Settings], ArtifactSpec],
) -> Callable[[Callable[[Settings, ArtifactWriter], Facts]], Callable[[Settings, bool], None]]:
    """Decorator: `write(settings, out) -> facts` becomes a stage's `work(settings, force)`.

    The stage builds `spec_of(settings)`: `write` fills the scratch folder `out`.
    """

    def decorate(
        write: Callable[[Settings, ArtifactWriter], Facts],
    ) -> Callable[[Settings, bool], None]:
        @functools.wraps(write)
        def work(s: Settings, force: bool) -> None:
            build(spec_of(s), force, functools.partial(write, s))

        return work

    return decorate


def build(
    target: ArtifactSpec,
    force: bool,
    write: Callable[[ArtifactWriter], Facts],
    shared: bool = False,
) -> None:
    """Build `target` unless it is up to date; `write` fills its folder and returns facts to print.

    If another process is building it, wait for that one and keep its result. Processes that share
    the work (`shared`: workers of one study) do not wait for each other.
    """
    if is_up_to_date(target, force):
        return
    if shared:
        _build(target, write)
        return
    with locked(target.lock, f"{target.stage} {target.path}") as waited:
        if not is_up_to_date(target, force and not waited):
            _build(target, write)


def is_up_to_date(target: ArtifactSpec, force: bool) -> bool:
    """Whether `target` is done and stays; prints that, and whether other code made it.

    Raises DamagedArtifact if a byte that is checked at use has changed (verify.py). The files of
    00_data are not checked here: the sha256 of the challenge's are in the name of the store, and
    the hidden labels are for 80_report alone.
    """
    if force or not target.done:
        return False
    record, note = spec.record(target.path), ""
    if target.stage != DATA:
        verify(target.path, record)
    if record["code"] != provenance.code():
        note = f" (made by other code, at commit {record['commit']}; --force builds it again)"
    state = f"is up to date{note}"
    events.say(f"{target.stage} {target.name} {state}", f"{target.stage} {target.path} {state}")
    return True


def _build(target: ArtifactSpec, write: Callable[[ArtifactWriter], Facts]) -> None:
    started = time.perf_counter()
    with store.write_artifact(target) as out:
        facts = write(out)
    line = " ".join(f"{name}={value}" for name, value in facts.items())
    seconds = f"({time.perf_counter() - started:.1f} s)"
    short, whole = f"{target.name} {seconds} {line}", f"{target.path} {line} {seconds}"
    events.say(f"{target.stage} {short}", f"{target.stage} {whole}")
