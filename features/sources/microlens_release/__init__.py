"""A public MicroLens release to the challenge's schema."""
