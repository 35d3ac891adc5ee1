"""What a tracker holds: read as its own tool reads it."""

import importlib.util
import sys
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from pipeline.training.tracking.trackers import tracker
from tests.helpers import fake_mlflow


def install_mlflow(monkeypatch) -> None:
    """The real MLflow where it is installed, otherwise a fake."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if importlib.util.find_spec("mlflow") is None:
        monkeypatch.setitem(sys.modules, "mlflow", fake_mlflow.module())


def curve(settings: Settings, group: str, name: str, tag: str) -> list[tuple[int, float]]:
    """(step, value) of a run, in the order in which they were logged."""
    if settings.train.log == "tensorboard":
        return [
            (one.step, one.tensor_proto.float_val[0]) for one in _events(settings, group, name, tag)
        ]
    client, run = _mlflow_run(settings, group, name)
    return [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, tag)]


def settings_of(settings: Settings, group: str, name: str) -> dict[str, str]:
    """The settings of a run, as text."""
    if settings.train.log == "tensorboard":
        [event] = _events(settings, group, name, "settings/text_summary")
        lines = event.tensor_proto.string_val[0].decode().splitlines()
        return dict(line.strip().split(" = ", 1) for line in lines)
    _, run = _mlflow_run(settings, group, name)
    return run.data.params


def _events(settings: Settings, group: str, name: str, tag: str) -> list:
    """What TensorBoard's page draws of a run."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    folder = Path(settings.artifacts) / settings.profile / "tensorboard" / group / name
    return EventAccumulator(str(folder)).Reload().Tensors(tag)


def _mlflow_run(settings: Settings, group: str, name: str):
    tool = tracker(settings)
    [run] = tool._runs(group, name)
    return tool.client, run


def approx(pairs: list[tuple[int, float]]):
    """Single precision, as TensorBoard keeps it."""
    return [(step, pytest.approx(value, rel=1e-6)) for step, value in pairs]
