"""Conversion of a public MicroLens release to the challenge's schema."""
