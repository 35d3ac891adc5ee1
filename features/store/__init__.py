"""The challenge's files, checked, as a ragged store of arrays."""
