"""Data sets of fields: read, encoded by what train holds, stored once, opened by mmap."""
