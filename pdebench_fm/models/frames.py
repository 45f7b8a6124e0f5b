"""The coordinates in which a network sees a problem: of all that are equally good, always the same ones.

On the periodic square, integer coordinates x′ = A x with det A = ±1 are as good as x: a problem (f, K, v, ω) becomes
(f(A⁻¹x′), A K Aᵀ, A v, ω), and its solution is u(A⁻¹x′). On a grid that is a permutation of the points, without any
interpolation. A network need not learn what choosing coordinates by a rule makes equal: mirrored and turned problems
become one problem (or two, a half-turn apart, where there is no velocity, as no tensor tells those apart), and shears
make most strongly anisotropic tensors nearly isotropic ones.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pdebench_fm.models.config import Frame

_REDUCTION_STEPS = 12
"""Enough for ratios of K's eigenvalues of many thousands: each step divides the ratio that is left."""
_LARGEST = 2.0**20
"""Multiple in one step, so that integers stay in range whatever the coefficients."""
_TIE = 1e-9  # relative: what is equal but for rounding is left as it is


def solve_in_frame(
    kind: Frame, solver: Callable[[Tensor, Tensor], Tensor], source: Tensor, coefficients: Tensor
) -> Tensor:
    """Return what a solver gives for problems in their own coordinates, in the given coordinates.

    Args:
        kind: How the coordinates are chosen, see `frame_of`.
        solver: Maps sources (B, n, n) and coefficients (B, 6) to solutions (B, n, n).
        source: (B, n, n), indexed `[y, x]`.
        coefficients: (B, 6), (k11, k22, k12, v1, v2, omega).
    """
    if kind == "given":
        return solver(source, coefficients)
    frame = frame_of(kind, coefficients)
    solution = solver(field_in(inverse(frame), source), coefficients_in(frame, coefficients))
    return field_in(frame, solution)


@torch.no_grad()
def frame_of(kind: Frame, coefficients: Tensor) -> Tensor:
    """Return the coordinates of each problem: A of x′ = A x, (B, 2, 2) int64 with determinant 1 or −1.

    Args:
        kind: `"square"`: reflections and the exchange of the axes, such that v′₁ ≥ v′₂ ≥ 0, or where there is no
            velocity k′₁₁ ≥ k′₂₂ and k′₁₂ ≥ 0; `"lattice"`: the same for problems with a velocity, the others such that
            K′ is Lagrange-reduced, 0 ≤ 2k′₁₂ ≤ k′₁₁ ≤ k′₂₂; `"given"`: as they are.
        coefficients: (B, 6). Whatever the values, the frame is one: of first three that are no positive-definite
            tensor it need not be reduced.
    """
    values = coefficients.double()
    if kind == "square":
        return _square_frame(values)
    if kind == "lattice":
        still = (values[:, 3:5] == 0).all(dim=1)
        return torch.where(still[:, None, None], _lattice_frame(values), _square_frame(values))
    return torch.eye(2, dtype=torch.int64, device=coefficients.device).expand(len(coefficients), 2, 2)


def inverse(frame: Tensor) -> Tensor:
    """Return the inverses, (B, 2, 2) int64, which are integer as well."""
    a, b, c, d = frame.flatten(1).unbind(dim=1)
    determinant = a * d - b * c
    return _matrix(determinant * d, -determinant * b, -determinant * c, determinant * a)


def field_in(frame: Tensor, field: Tensor) -> Tensor:
    """Return the field u(A x) at every grid point x, (B, n, n), of fields u (B, n, n) and A (B, 2, 2)."""
    n = field.shape[-1]
    place = torch.arange(n, device=field.device)
    along_x, along_y = (frame[:, :, i, None, None] for i in range(2))
    x, y = ((along_x * place + along_y * place[:, None]) % n).unbind(dim=1)
    return field.flatten(1).gather(1, (n * y + x).flatten(1)).view_as(field)


def coefficients_in(frame: Tensor, coefficients: Tensor) -> Tensor:
    """Return (A K Aᵀ, A v, ω) as (B, 6)."""
    matrix = frame.to(coefficients.dtype)
    k11, k22, k12 = (coefficients[:, i] for i in range(3))
    a, b, c, d = matrix.flatten(1).unbind(dim=1)
    v1, v2 = coefficients[:, 3], coefficients[:, 4]
    moved = (
        a * a * k11 + 2 * a * b * k12 + b * b * k22,
        c * c * k11 + 2 * c * d * k12 + d * d * k22,
        a * c * k11 + (a * d + b * c) * k12 + b * d * k22,
        a * v1 + b * v2,
        c * v1 + d * v2,
        coefficients[:, 5],
    )
    return torch.stack(moved, dim=1)


def _square_frame(coefficients: Tensor) -> Tensor:
    k11, k22, k12, v1, v2, _ = coefficients.unbind(dim=1)
    still = (v1 == 0) & (v2 == 0)
    # the velocity decides, or the tensor (by logic, as runtimes of exported graphs cannot choose between truth values)
    sign_x = torch.where((still & (k12 < 0)) | (v1 < 0), -1, 1)
    sign_y = torch.where(v2 < 0, -1, 1)
    exchanged = (still & (k22 > k11)) | (v2.abs() > v1.abs())
    zero = torch.zeros_like(sign_x)
    reflected, exchange = _matrix(sign_x, zero, zero, sign_y), _matrix(zero, sign_y, sign_x, zero)
    return torch.where(exchanged[:, None, None], exchange, reflected)


def _lattice_frame(coefficients: Tensor) -> Tensor:
    """Lagrange's reduction of the binary quadratic form K, each row of A a basis vector of the lattice."""
    k11, k22, k12 = coefficients[:, :3].unbind(dim=1)
    one, zero = (torch.full_like(k11, value, dtype=torch.int64) for value in (1, 0))
    first, second = torch.stack([one, zero], dim=1), torch.stack([zero, one], dim=1)
    for _ in range(_REDUCTION_STEPS):
        swapped = k11 > k22 * (1 + _TIE)
        k11, k22 = torch.where(swapped, k22, k11), torch.where(swapped, k11, k22)
        first, second = (
            torch.where(swapped[:, None], one_of, other) for one_of, other in ((second, first), (first, second))
        )
        # the multiple of the first that leaves the second shortest
        leaning = (k11 > 0) & (2 * k12.abs() > k11 * (1 + _TIE))
        multiple = torch.where(leaning, k12 / torch.where(k11 > 0, k11, 1.0), 0.0)
        multiple = multiple.round().clamp(-_LARGEST, _LARGEST)
        k22 = k22 - 2 * multiple * k12 + multiple**2 * k11
        k12 = k12 - multiple * k11
        second = second - multiple.to(torch.int64)[:, None] * first
    second = torch.where((k12 < 0)[:, None], -second, second)
    return torch.stack([first, second], dim=1)


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Return [[a, b], [c, d]] as (B, 2, 2)."""
    return torch.stack([a, b, c, d], dim=1).view(-1, 2, 2)
