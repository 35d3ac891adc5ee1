"""Slates: the rows of one user with one history, as candidates of one decision."""
