"""Names of parameters in other implementations."""
