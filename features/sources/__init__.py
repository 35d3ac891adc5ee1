"""Sources of rows: the generated sample and public MicroLens releases."""
