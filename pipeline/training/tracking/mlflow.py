"""train.log=mlflow: a run of MLflow for each run, in an experiment for each group.

They go to the server or database of MLFLOW_TRACKING_URI, otherwise to a database of their own:

    artifacts/<profile>/mlflow/runs.db
"""

import importlib
import logging
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.errors import InputError
from pipeline.config.redact import without_passwords
from pipeline.training.tracking.base import TrackedRun, Values

URI = "MLFLOW_TRACKING_URI"  # MLflow's own environment variable
FINISHED = "FINISHED"  # MLflow's status of a run that ended well


class MLflow:
    """Experiments named `<profile>/<group>`; see pipeline.training.tracking.base.Tracker."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.folder, self.profile = folder.resolve(), profile
        self.uri = os.environ.get(URI) or f"sqlite:///{self.folder}/runs.db"
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would call its makers
        mlflow = importlib.import_module("mlflow")
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # which importing it sets otherwise
        self.entities, self.error = mlflow.entities, mlflow.exceptions.MlflowException
        self.client = mlflow.MlflowClient(tracking_uri=self.uri)

    def open(self, group: str) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._experiment(group)  # and the database's tables: not by several processes at once
        shown = shlex.quote(without_passwords(self.uri))
        is_server = self.uri.lower().startswith(("http://", "https://"))  # it has the pages itself
        return f"open {shown}" if is_server else f"mlflow ui --backend-store-uri {shown}"

    def has(self, group: str, name: str) -> bool:
        with self._errors():
            return any(run.info.status == FINISHED for run in self._runs(group, name))

    @contextmanager
    def start(self, group: str, name: str, settings: Mapping[str, Any]) -> Iterator[TrackedRun]:
        with self._errors():
            for earlier in self._runs(group, name):
                self.client.delete_run(earlier.info.run_id)
            run = self.client.create_run(self._experiment(group), run_name=name)
            tracked = _Run(self, run.info.run_id)
            tracked.begin(settings)
        try:
            yield tracked
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            try:
                tracked.end("KILLED" if interrupted else "FAILED")
            except InputError as failed:
                error.add_note(str(failed))
            raise

    def _experiment(self, group: str) -> str:
        name = f"{self.profile}/{group}"
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        return self.client.create_experiment(name, artifact_location=f"{self.folder}/files")

    def _runs(self, group: str, name: str) -> list[Any]:
        named = f"attributes.run_name = '{name}'"
        return list(self.client.search_runs([self._experiment(group)], filter_string=named))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Within it, an error of MLflow is an InputError."""
        try:
            yield
        except self.error as error:
            uri, message = without_passwords(self.uri), without_passwords(str(error))
            message = " ".join(message.split())
            raise InputError(
                f"train.log=mlflow, {uri}: {message}; the same command resumes"
            ) from None


class _Run:
    """A run of MLflow."""

    def __init__(self, tracker: MLflow, run_id: str) -> None:
        self.tracker, self.id, self.ended = tracker, run_id, False

    def begin(self, settings: Mapping[str, Any]) -> None:
        param = self.tracker.entities.Param
        params = [param(name, str(value)) for name, value in settings.items()]
        self.tracker.client.log_batch(self.id, params=params)

    def log(self, step: int, values: Values) -> None:
        now, metric = time.time_ns() // 10**6, self.tracker.entities.Metric
        metrics = [metric(name, float(value), now, step) for name, value in values.items()]
        with self.tracker._errors():
            self.tracker.client.log_batch(self.id, metrics=metrics)

    def finish(self, scores: Values) -> None:
        self.log(0, scores)
        self.end(FINISHED)

    def end(self, status: str) -> None:
        """Only the first one counts: a pruned trial has finished before it raises."""
        if self.ended:
            return
        self.ended = True
        with self.tracker._errors():
            self.tracker.client.set_terminated(self.id, status)
