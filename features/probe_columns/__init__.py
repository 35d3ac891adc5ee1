"""Columns that only 15_probe reads."""
