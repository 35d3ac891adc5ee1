"""Command-line stages from raw data to a checked submission, and what they are made of."""
