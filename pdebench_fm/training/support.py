"""The support set as a method of adaptation is given it: exact examples, and what the equation says of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import PdefmError
from pdebench_fm.physics.symmetries import Symmetry


class NoSymmetriesError(PdefmError):
    """A method asks for the symmetries of a system that declares none."""


@dataclass(frozen=True, eq=False)
class SupportSet:
    """K examples of one task, in physical units, on the module's device.

    Attributes:
        source: (K, n, n) float32, f on the grid x_j = j / n, indexed `[y, x]`.
        solution: (K, n, n) float32, the exact u.
        coefficients: (K, 6) float32, (k11, k22, k12, v1, v2, omega).
        system: Name of the system that they are of.
        declared: The symmetries that the system declares, the identity first; nothing but that if it declares none.
        fresh: Whether the weights of the module that is adapted to them are random.
    """

    source: Tensor
    solution: Tensor
    coefficients: Tensor
    system: str
    declared: tuple[Symmetry, ...] = ()
    fresh: bool = False

    def __len__(self) -> int:
        """Return K."""
        return len(self.source)

    def __getitem__(self, rows: Tensor | slice | int | Sequence[int]) -> Batch:
        """Return some of the examples, by their places: of one example as well, as a batch of one."""
        if not isinstance(rows, Tensor):
            rows = torch.arange(len(self))[rows]
        rows = rows.to(self.source.device).reshape(-1)
        return Batch(self.source[rows], self.coefficients[rows], self.solution[rows])

    def subset(self, rows: Tensor) -> "SupportSet":
        """Return the support set of some of the examples, by their places."""
        some = self[rows]
        return replace(self, source=some.source, solution=some.solution, coefficients=some.coefficients)

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """The symmetries of the system's operator, the identity first: a group.

        For each symmetry g, `g.of_field(solution)` of fields (B, n, n) solves the problem of `g.of_field(source)` and
        `g.of_coefficients(coefficients)`, (B, 6), exactly.

        Raises:
            NoSymmetriesError: If the system declares none.
        """
        if len(self.declared) < 2:
            raise NoSymmetriesError(
                f"the system {self.system!r} declares no symmetries: a method that uses them cannot adapt to it"
            )
        return self.declared
