"""From data sources to the checked store, and from the store to tabular features."""
