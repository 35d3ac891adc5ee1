"""report.html, scores.json and the leaderboard: what 80_report writes about a run."""
