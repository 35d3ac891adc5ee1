"""A ladder of settings: one change a rung, on several worlds."""
