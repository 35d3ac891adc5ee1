"""Trained networks as fewer operations, for single requests."""
