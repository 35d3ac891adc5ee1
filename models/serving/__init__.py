"""Trained networks for single requests: fewer operations, the same scores up to rounding."""
