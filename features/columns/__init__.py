"""Tabular features for the stacker, one idea a file."""
