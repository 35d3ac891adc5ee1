"""Submissions: write a file for the leaderboard, and check any."""
