"""Seconds: of epochs, steps, kernels and requests."""
