"""Lines on a terminal that follow the work, drawn by a process of their own."""
