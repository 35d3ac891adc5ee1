"""Columns that only 15_probe looks at."""
