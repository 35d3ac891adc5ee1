"""Folds, scores with their intervals, and blends of several models."""
