"""The trackers of train.log, by name, and the packages that they need."""

import importlib.util
from pathlib import Path

from features.errors import InputError
from pipeline.config.settings import Settings
from pipeline.training.tracking.base import UNTRACKED, Tracker
from pipeline.training.tracking.mlflow import MLflow
from pipeline.training.tracking.tensorboard import TensorBoard

PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}  # train.log -> what it needs


def require(settings: Settings) -> None:
    """Raise InputError where the package of train.log is not installed; imports nothing."""
    package = PACKAGES.get(settings.train.log)
    if package is not None and importlib.util.find_spec(package) is None:
        raise InputError(
            f"train.log={settings.train.log} needs the package {package}, which is not installed:"
            f" run python -m pip install {package}, or leave train.log out"
        )


def tracker(settings: Settings, folder: Path | None = None) -> Tracker:
    """The tracker of train.log, which keeps its files in `folder`: artifacts/<profile>/.

    Raises InputError where its package cannot be imported.
    """
    require(settings)
    folder = folder or Path(settings.artifacts) / settings.profile
    log = settings.train.log
    try:
        if log == "tensorboard":
            return TensorBoard(folder / log)
        if log == "mlflow":
            return MLflow(folder / log, settings.profile)
    except ImportError as error:  # of a part that it needs, or of another version
        raise InputError(f"train.log={log}: {PACKAGES[log]} cannot be imported: {error}") from None
    return UNTRACKED
