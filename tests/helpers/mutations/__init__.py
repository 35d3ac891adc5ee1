"""Hypothesis strategies that break inputs, and plain readers that say which ones are valid."""
