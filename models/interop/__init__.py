"""Names and settings of other implementations."""
