"""A hand-made run as the report reads it, and its parts."""

import dataclasses
import datetime

import numpy as np
from scipy.special import expit

from pipeline.config import load as load_config
from pipeline.reporting.run import SUBMISSION, Run, ScoredRows

# Ends attributes, tags and comments; matplotlib would read mathematics between the dollars.
HOSTILE = "\"'--><script>alert(1)</script><img src=x onerror=alert(1)> $\\frac$ &amp;"


def scored(models: tuple[str, ...], n: int = 600, seed: int = 0) -> ScoredRows:
    """Rows whose labels were drawn from the first model's own probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1, 1.5, n)
    noise = {model: i * rng.normal(0, 0.7, n) for i, model in enumerate(models)}
    return ScoredRows(
        name="out-of-fold rows",
        label=(rng.random(n) < expit(truth)).astype(np.uint8),
        logits={model: truth + noise[model] for model in models},
        history=rng.integers(0, 40, n),
        shows=rng.geometric(0.02, n) - 1,
    )


def fit_record(**report) -> dict:
    """The artifact.json of a fit."""
    epochs = [{"loss": 0.6 - 0.1 * i, "score": s} for i, s in enumerate((0.7, 0.8, 0.79))]
    network = dataclasses.asdict(load_config.load("sample", []).networks["qin"])
    return {
        "settings": {"network": network},
        "report": {
            "best_epoch": 2, "epochs": epochs, "auc": 0.78, "chance_error": 0.01,
            "rows_per_second": 12345, "device": "cpu", **report,
        },
        "seconds": 3.5, "peak_mib": 500, "commit": "abc", "machine": "m", "python": "3",
        "versions": {"numpy": "2"},
    }  # fmt: skip


def run_of(**changed) -> Run:
    """A run of qin and din whose blend is submitted; `changed` replaces fields."""
    qin = {"cv": 0.88, "sd": 0.01, "folds": [0.87, 0.89], "valid": 0.87}
    single = qin | {"weights": {"qin": 1.0, "din": 0.0}}
    mean = qin | {"cv": 0.885, "weights": {"qin": 0.7, "din": 0.3}}
    models = {"qin": qin, "din": qin | {"cv": 0.85, "folds": [0.85, 0.85]}}
    blenders = {"best_single": single, "hill_climbing": mean}
    rows = [
        {"name": name, "cv": r["cv"], "sd": r["sd"], "valid": r["valid"], "hidden": 0.86}
        | {"slates": name.startswith("slate_"), "cv_last": r.get("cv_last")}
        for name, r in (models | blenders).items()
    ]
    fits = {(model, 0, fold): fit_record() for model in models for fold in (0, 1)}
    fields = {
        "settings": load_config.load("sample", ["models=qin,din", "folds.n=2"]),
        "scores": {
            "rows": rows, "submitted": "hill_climbing", "chosen_by": "nested CV", "bayes": 0.91,
            "bayes_slates": None, "tuned": [], "folds_chose_epochs": False,
            "forecast": {"auc": 0.87, "low": 0.85, "high": 0.89},
            "without_slates": None, "within_slates": {"valid": None, "hidden": None},
        },
        "blend": {"models": models, "blenders": blenders, "chosen": "hill_climbing"},
        "submission": "sample/research-1",
        "manifest": {"commit": "abc"},
        "zip": "submissions/sample/research-1/submission.zip",
        "made": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
        "fits": fits,
        "stages": {"10_prepare": [fit_record()], "50_train": list(fits.values())},
        "held_out": scored(("qin", "din")),
        "valid": scored((SUBMISSION,), seed=1),
        "previous": None,
        "leaderboard": [], "studies": [], "probes": [], "masks": [],
    }  # fmt: skip
    return Run(**fields | changed)


def run_with_slates(**changed) -> Run:
    """As `run_of`, but a blend that compares the rows of slates is submitted."""
    run = run_of()
    name = "slate_mean"
    mean = run.blend["blenders"]["hill_climbing"] | {
        "cv": 0.92, "cv_last": 0.93, "models": ["qin"], "weights": {"slate_lightgbm": 1.0},
    }  # fmt: skip
    row = run.scores["rows"][-1] | {
        "name": name, "slates": True, "cv": 0.92, "cv_last": 0.93, "valid": 0.94, "hidden": 0.95,
    }  # fmt: skip
    figures = {"gauc": 0.8, "clicked_first": 0.5, "log_loss": 0.9}
    names = [row["name"] for row in run.scores["rows"]]
    valid = dict.fromkeys(names, figures) | {name: figures | {"clicked_first": 0.625}}
    scores = run.scores | {
        "rows": [*run.scores["rows"], row], "submitted": name, "without_slates": "hill_climbing",
        "within_slates": {"valid": valid, "hidden": dict.fromkeys(names, figures)},
    }  # fmt: skip
    blend = run.blend | {"blenders": run.blend["blenders"] | {name: mean}, "chosen": name}
    return dataclasses.replace(run, scores=scores, blend=blend, **changed)


def leaderboard_rows(*scores: tuple[float | None, float | None]) -> list[dict]:
    """Rows with these CVs and public scores."""
    return [
        {"submission": f"sample/research-{i}", "cv": cv, "public": public}
        for i, (cv, public) in enumerate(scores)
    ]


def two_points() -> list[dict]:
    return leaderboard_rows((0.88, 0.9), (0.89, 0.8))


STUDY = {
    "study": "qin",
    "users": 0.2,
    "trials": [
        {"number": 0, "state": "COMPLETE", "value": 0.86, "params": {"fit.learning_rate": 1e-3},
         "fold_aucs": [0.85, 0.87], "seconds": 70.0},
        {"number": 1, "state": "PRUNED", "value": 0.8, "params": {"fit.learning_rate": 0.1}},
        {"number": 2, "state": "COMPLETE", "value": 0.87, "params": {"qnn.layers": 3},
         "fold_aucs": [0.86, 0.88], "seconds": 90.0},
        {"number": 3, "state": "FAIL", "value": None, "params": {}},
    ],
    "importances": {"fit.learning_rate": 0.9, "qnn.layers": 0.1},
}  # fmt: skip
MEASUREMENT = {
    "name": "item_id", "column": "item_id", "where": "train", "figure": 0.7, "low": 0.69,
    "high": 0.71, "threshold": 0.6,
}  # fmt: skip
PROBE = {
    "slates": {
        "train": {"slates": 3000, "rows": {"4": 0.975, "5": 0.025}, "clicks": {"1": 1.0}},
        "test": {"slates": 10, "rows": {"4": 1.0}},
    },
    "findings": [MEASUREMENT | {"text": "item id alone reaches 0.7"}],
    "measured": [MEASUREMENT, MEASUREMENT | {"name": "level", "threshold": None}],
}
SHUFFLED = {
    "auc": 0.88, "auc_shuffled": 0.8, "gain": 0.08, "low": 0.07, "high": 0.09, "helps": True,
}  # fmt: skip
PASSED = {"padding": {"passed": True}, "history": {"passed": True}, "shuffled": SHUFFLED}
MASK = {
    "rows": 600,
    "models": {
        "qin": PASSED | {"columns": SHUFFLED},
        "din": PASSED | {"padding": {"passed": False}},
    },
}
