"""The building blocks of the networks: one paper idea per file."""
