"""Measurements of time, memory and quality, for bench/RESULTS.md."""
