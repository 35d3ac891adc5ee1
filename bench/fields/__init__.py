"""FINAL's tables on four data sets, and any other csv of categorical and numeric fields."""
