"""FINAL's published numbers on Frappe_x1, and FINAL's block in four networks."""
