"""What all pages are made from: the rows of a leaderboard and what follows from them, each worked out once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pdebench_fm.leaderboard.board import Board, make_boards
from pdebench_fm.leaderboard.store import Entry, Skipped


@dataclass(frozen=True)
class Material:
    """The rows of a leaderboard, and the files among them that are none."""

    entries: Sequence[Entry]
    skipped: Sequence[Skipped] = ()

    @cached_property
    def boards(self) -> list[Board]:
        """The tables; empty without results."""
        return make_boards(self.entries)

    @cached_property
    def models(self) -> list[tuple[str, str]]:
        """Organisation and id of each model that has results, in order."""
        return sorted({(entry.organisation, entry.result.model.model_id) for entry in self.entries})
