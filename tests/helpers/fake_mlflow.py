"""As much of MLflow as train.log=mlflow uses, in memory: the real one needs 35 packages."""

import importlib.machinery
import types
from dataclasses import dataclass, field
from types import SimpleNamespace


class MlflowException(Exception):
    pass


@dataclass(frozen=True)
class Metric:
    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class Param:
    key: str
    value: str


@dataclass
class Run:
    info: SimpleNamespace
    params: dict = field(default_factory=dict)
    history: list = field(default_factory=list)

    @property
    def data(self) -> SimpleNamespace:
        return SimpleNamespace(params=self.params, metrics={m.key: m.value for m in self.history})


class MlflowClient:
    """All clients of one address see the same runs."""

    servers: dict = {}  # noqa: RUF012

    def __init__(self, tracking_uri: str) -> None:
        self.experiments, self.runs = self.servers.setdefault(tracking_uri, ({}, {}))

    def get_experiment_by_name(self, name):
        return self.experiments.get(name)

    def create_experiment(self, name, artifact_location):
        self.experiments[name] = SimpleNamespace(experiment_id=name)
        return name

    def create_run(self, experiment_id, run_name):
        run_id = str(len(self.runs))
        info = SimpleNamespace(run_id=run_id, run_name=run_name, status="RUNNING")
        self.runs[run_id] = (experiment_id, Run(info))
        return self.runs[run_id][1]

    def delete_run(self, run_id):
        self.runs[run_id] = (None, self.runs[run_id][1])

    def search_runs(self, experiment_ids, filter_string):
        found = [run for experiment, run in self.runs.values() if experiment in experiment_ids]
        return [run for run in found if filter_string.endswith(f"'{run.info.run_name}'")]

    def log_batch(self, run_id, metrics=(), params=()):
        run = self.runs[run_id][1]
        run.params.update({one.key: one.value for one in params})
        run.history += metrics

    def set_terminated(self, run_id, status):
        self.runs[run_id][1].info.status = status

    def get_metric_history(self, run_id, key):
        return [metric for metric in self.runs[run_id][1].history if metric.key == key]


def module() -> types.ModuleType:
    made = types.ModuleType("mlflow")
    made.__spec__ = importlib.machinery.ModuleSpec("mlflow", None)
    made.MlflowClient = MlflowClient
    made.entities = SimpleNamespace(Metric=Metric, Param=Param)
    made.exceptions = SimpleNamespace(MlflowException=MlflowException)
    return made
