"""Settings: their schema, loading, and the choices that exclude each other."""
