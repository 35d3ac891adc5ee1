"""Data sources: the generated sample and public MicroLens releases."""
