"""Tabular features for the stacker, one idea per file; features/table.py lists them."""
