"""Which cell a worker computes next: the longest first, of the task whose rows it holds."""

from collections.abc import Collection, Sequence

from pdebench_fm.evaluation.cell import Cell


class Schedule:
    """Cells that wait for a worker.

    The longest come first, as what is long and comes last keeps the other workers waiting. A worker stays with its
    task, whose rows it has made or read, until there are no more cells of it; it then goes where most work is left
    for each of those who are at it.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        """Let all of them wait."""
        self._waiting: dict[str, list[Cell]] = {}
        for cell in sorted(cells, key=lambda cell: cell.work):
            self._waiting.setdefault(cell.task.name, []).append(cell)

    def __bool__(self) -> bool:
        """Return whether any are left."""
        return any(self._waiting.values())

    def next(self, held: str | None, elsewhere: Collection[str]) -> Cell:
        """Return a worker's next cell.

        Args:
            held: name of the task whose rows it holds, if any.
            elsewhere: of those that the other workers hold, one name for each of them.

        Raises:
            IndexError: if none is left.
        """
        if held is not None and self._waiting.get(held):
            return self._waiting[held].pop()
        if not self:
            raise IndexError("no cell is left")
        work = {name: sum(cell.work for cell in cells) for name, cells in self._waiting.items() if cells}
        others = list(elsewhere)
        return self._waiting[max(work, key=lambda name: work[name] / (1 + others.count(name)))].pop()

    def put_back(self, cell: Cell) -> None:
        """Let a cell wait again, before the others of its task."""
        self._waiting[cell.task.name].append(cell)
