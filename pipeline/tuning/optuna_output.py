"""What Optuna may print: errors alone."""

import contextlib
import warnings
from collections.abc import Iterator

import optuna
from optuna.exceptions import ExperimentalWarning


def silence_optuna() -> None:
    """For an entry point: trials are reported by lines of the pipeline's own."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextlib.contextmanager
def experimental_features() -> Iterator[None]:
    """Without Optuna's warning that heartbeats, retries and some pruners are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
