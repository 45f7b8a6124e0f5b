"""The leaderboard as a static site that opens from disk, needs no network and is the same for the same rows."""

from pdebench_fm.leaderboard.site.build import build_site

__all__ = ["build_site"]
