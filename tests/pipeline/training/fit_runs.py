"""What the tests of fits share."""

KEY = "qin", 0, 0
LAST_EPOCH = 6
FILES = ("model.pt", "held.parquet", "valid.parquet", "test.parquet")
