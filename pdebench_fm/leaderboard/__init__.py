"""The leaderboard: a folder of result files, and the static page made from it."""
