"""What all pages are made from: the rows of a leaderboard and what follows from them, each worked out once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.leaderboard.board import Board, make_boards
from pdebench_fm.leaderboard.ranking import SCOPES, Ranking, rankings_of
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
    def rankings(self) -> list[Ranking]:
        """Of each board and number of shots: over all tasks, and over those of each system."""
        return [ranking for ranking in self._all_rankings if ranking.scope in SCOPES]

    @cached_property
    def rankings_by_task(self) -> list[Ranking]:
        """Who is best on each task alone."""
        return [ranking for ranking in self._all_rankings if ranking.scope in TASKS]

    @cached_property
    def _all_rankings(self) -> list[Ranking]:
        return rankings_of(self.boards, self.entries, (*SCOPES, *TASKS))  # at once, as they share most of the work

    @cached_property
    def models(self) -> list[tuple[str, str]]:
        """Organisation and id of each model that has results, in order."""
        return sorted({(entry.organisation, entry.result.model.model_id) for entry in self.entries})
