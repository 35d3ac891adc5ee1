"""Rows on a device, on the host or on disk, as batches."""
