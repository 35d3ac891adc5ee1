"""Results on disk: their names, how they are written, locks and provenance."""
