"""Optuna studies of 40_tune: trials, workers, results."""
