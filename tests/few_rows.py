"""The first rows of a split, so that whole evaluations take a moment."""

from dataclasses import dataclass

from pdebench_fm.data.providers import RecipeRows


@dataclass(frozen=True)
class FewRows(RecipeRows):
    """The first rows of a split, as a small build would have them."""

    count: int = 16

    @property
    def size(self):
        return self.count
