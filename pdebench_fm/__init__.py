"""The PDE foundation-model benchmark hub: datasets, models, protocol and leaderboard."""

__version__ = "0.1.0"
