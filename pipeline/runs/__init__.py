"""Finished runs: found by name, listed, compared, removed."""
