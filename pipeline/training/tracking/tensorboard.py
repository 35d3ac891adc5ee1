"""train.log=tensorboard: a folder of event files for each run.

    artifacts/<profile>/tensorboard/<group>/<name>/events.out.tfevents.*
    artifacts/<profile>/tensorboard/<group>/<name>/finished   # empty: the run has ended well

Events are written at once and by the caller, not by a thread of SummaryWriter, whose errors would
come late, or not at all.
"""

import importlib
import os
import shlex
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.training.tracking.base import TrackedRun, Values

SUMMARY = "torch.utils.tensorboard.summary"
EVENTS = "tensorboard.compat.proto.event_pb2"
RECORDS = "tensorboard.summary.writer.record_writer"
MODULES = (SUMMARY, EVENTS, RECORDS)
FINISHED = "finished"


class TensorBoard:
    """Runs below `folder`; see pipeline.training.tracking.base.Tracker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for module in MODULES:  # an optional package: missing where nobody wants it
            importlib.import_module(module)

    def open(self, group: str) -> str:
        (self.folder / group).mkdir(parents=True, exist_ok=True)
        return f"tensorboard --logdir {shlex.quote(str(self.folder))}"

    def has(self, group: str, name: str) -> bool:
        return (self.folder / group / name / FINISHED).exists()

    @contextmanager
    def start(self, group: str, name: str, settings: Mapping[str, Any]) -> Iterator[TrackedRun]:
        folder = self.folder / group / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FINISHED).unlink(missing_ok=True)
        # TensorBoard reads the files of a folder by name: a later start has a later one
        one = f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}"
        with (folder / one).open("xb") as file:
            run = _EventFile(file)
            run.begin(settings)
            yield run


class _EventFile:
    """A run as a file of events, in TensorBoard's format."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.summary, self.events, records = map(importlib.import_module, MODULES)
        self.records = records.RecordWriter(file)

    def begin(self, settings: Mapping[str, Any]) -> None:
        """The settings, after a mark that hides what earlier files of the folder hold."""
        self._write(file_version="brain.Event:2")
        start = self.events.SessionLog(status=self.events.SessionLog.START)
        self._write(step=0, session_log=start)
        _, settings_summary, self.ended = self.summary.hparams(_plain(settings), {})
        self._write(step=0, summary=settings_summary)
        lines = (f"    {name} = {value}" for name, value in settings.items())
        self._write(step=0, summary=self.summary.text("settings", "\n".join(lines)))
        self.file.flush()

    def log(self, step: int, values: Values) -> None:
        for name, value in values.items():
            self._write(step=step, summary=self.summary.scalar(name, value))
        self.file.flush()

    def finish(self, scores: Values) -> None:
        self.log(0, scores)
        self._write(step=0, summary=self.ended)
        self.file.flush()
        Path(self.file.name).with_name(FINISHED).touch()

    def _write(self, **content: Any) -> None:
        event = self.events.Event(wall_time=time.time(), **content)
        self.records.write(event.SerializeToString())


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Lists and None as text: its table of settings knows numbers and text alone."""
    return {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in settings.items()
    }
