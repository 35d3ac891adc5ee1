"""One file for each section of report.html."""
