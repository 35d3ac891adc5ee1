"""What train.log keeps of a study: a run for each trial, and one for each of its fits."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.settings import Settings
from pipeline.graph import FitKey
from pipeline.training.tracking import fit_runs
from pipeline.training.tracking.trackers import tracker
from pipeline.tuning.storage import journal_path
from pipeline.tuning.studies import Search


def group(search: Search) -> str:
    """Of the study's runs."""
    return f"40_tune/{search.spec.path.name}"


def open_tracker(search: Search) -> None:
    """Print how to look at the runs. Raises InputError without the package of train.log."""
    how = tracker(search.settings).open(group(search))
    if how:
        print(f"40_tune curves: {how}", flush=True)


@dataclass(frozen=True)
class TrialRuns:
    """The tracked runs of one trial; another process may start those of its fits.

    folder  artifacts/<profile>/
    """

    folder: Path
    group: str
    name: str

    @classmethod
    def of(cls, search: Search, number: int) -> "TrialRuns":
        folder = journal_path(search.settings).parents[1].resolve()
        return cls(folder, group(search), f"trial{number:04d}")

    def trial(self, settings: Settings, values: Mapping[str, Any]) -> AbstractContextManager[Any]:
        """The run of the trial itself, with `values` of the searched settings."""
        return tracker(settings, self.folder).start(self.group, self.name, values)

    def fit(self, settings: Settings, key: FitKey) -> AbstractContextManager[Any]:
        """The run of the fit on one fold."""
        tool, name = tracker(settings, self.folder), f"{self.name}-fold{key[2]}"
        return tool.start(self.group, name, fit_runs.described(settings, key))
