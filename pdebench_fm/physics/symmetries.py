"""Which exact examples one example gives: the symmetries that a system declares, and those that every system has.

With the solution u of L_c u = f, of coefficients c, every system here solves as well, exactly on the grid:

* translated problems: L is a multiplier of Fourier modes, so `translated` source and solution belong together;
* sums: L is linear, so for equal coefficients any weighted sum of sources has the same sum of solutions.

Whether it commutes with a reflection or with the exchange of the axes, and what then becomes of the coefficients, is
declared by the system (`System.symmetries`) and checked against its symbol when it is registered.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from array_api_compat import array_namespace, device

from pdebench_fm.physics.operator import COEFFICIENT_NAMES
from pdebench_fm.physics.source import Array


@dataclass(frozen=True)
class Element:
    """An element of the symmetry group of the square: the axes are exchanged, or not, and then reflected.

    It acts on points as x ↦ g x with a signed permutation matrix g, and on a field as (g·u)(x) = u(g⁻¹ x).

    Attributes:
        exchange: whether x and y change places, before the reflections.
        flip_x, flip_y: whether x becomes −x, and y −y.
    """

    exchange: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def after(self, first: "Element") -> "Element":
        """Return the element that does `first` and then this one."""
        x, y = (first.flip_y, first.flip_x) if self.exchange else (first.flip_x, first.flip_y)
        return Element(self.exchange != first.exchange, self.flip_x != x, self.flip_y != y)

    @property
    def inverse(self) -> "Element":
        """The element that undoes this one."""
        return next(other for other in ELEMENTS.values() if other.after(self) == Element())

    @property
    def matrix(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The signed permutation matrix g, its rows for x and y."""
        x, y = (-1 if self.flip_x else 1), (-1 if self.flip_y else 1)
        return ((0, x), (y, 0)) if self.exchange else ((x, 0), (0, y))

    def of_field(self, field: Array) -> Array:
        """Return g·u of a field (…, n, n) indexed `[y, x]`, at the same grid points: no value is interpolated."""
        xp = array_namespace(field)
        if self.exchange:
            field = field.mT
        for flipped, axis in ((self.flip_x, -1), (self.flip_y, -2)):
            if flipped:  # the point j goes to −j modulo n: 0 stays
                field = xp.roll(xp.flip(field, axis=axis), 1, axis=axis)
        return field


ELEMENTS: dict[str, Element] = {
    "identity": Element(),
    "flip-x": Element(flip_x=True),
    "flip-y": Element(flip_y=True),
    "half-turn": Element(flip_x=True, flip_y=True),
    "exchange": Element(exchange=True),
    "quarter-turn": Element(exchange=True, flip_x=True),
    "three-quarter-turn": Element(exchange=True, flip_y=True),
    "anti-exchange": Element(exchange=True, flip_x=True, flip_y=True),
}
"""The group of the square by names; a quarter turn takes the x axis to the y axis."""

Declaration = Mapping[str, tuple[str, ...]]
"""What a system commutes with: by names in `ELEMENTS`, which coefficient each of its coefficients becomes, in the order
of its `coefficient_names`, with a leading "-" for a changed sign. Products of those that are declared follow."""

TENSOR_AND_VECTOR: Declaration = {
    "flip-x": ("k11", "k22", "-k12", "-v1", "v2", "omega"),
    "exchange": ("k22", "k11", "k12", "v2", "v1", "omega"),
}
"""How K, v and ω of −∇·(K∇u) + v·∇u − ωu = f change, gKgᵀ and gv: with their products these are the whole group."""


@dataclass(frozen=True)
class Symmetry:
    """An element of the group and what it makes of the six coefficients: c becomes `signs` · c[`places`].

    If u solves L_c u = f, then `of_field(u)` solves it for `of_coefficients(c)` and `of_field(f)`.
    """

    element: Element
    places: tuple[int, ...] = tuple(range(len(COEFFICIENT_NAMES)))
    signs: tuple[int, ...] = (1,) * len(COEFFICIENT_NAMES)

    def of_field(self, field: Array) -> Array:
        """Return the transformed field, (…, n, n); of NumPy or any array with a standard namespace."""
        return self.element.of_field(field)

    def of_coefficients(self, coefficients: Array) -> Array:
        """Return the transformed coefficients, (B, 6); of the same kind as those given."""
        xp = array_namespace(coefficients)
        signs = xp.asarray(self.signs, dtype=coefficients.dtype, device=device(coefficients))
        return signs * coefficients[:, list(self.places)] + 0.0  # as −0, a direction such as atan2's would be another

    def after(self, first: "Symmetry") -> "Symmetry":
        """Return the symmetry that does `first` and then this one."""
        return Symmetry(
            self.element.after(first.element),
            tuple(first.places[place] for place in self.places),
            tuple(sign * first.signs[place] for sign, place in zip(self.signs, self.places, strict=True)),
        )


def symmetries_of(declaration: Declaration, coefficient_names: tuple[str, ...]) -> tuple[Symmetry, ...]:
    """Return all symmetries that follow from a declaration, the identity first: a group, of 1, 2, 4 or 8.

    Raises:
        ValueError: if the declaration names no element, or what it makes of the coefficients is no signed permutation
            of their names.
    """
    if not isinstance(declaration, Mapping):
        raise ValueError(f"symmetries must be a dictionary by names of elements, not a {type(declaration).__name__}")
    generators = [_declared(name, images, coefficient_names) for name, images in declaration.items()]
    found = {Element(): Symmetry(Element())}
    waiting = list(found.values())
    while waiting:
        first = waiting.pop()
        for generator in generators:
            product = generator.after(first)
            if product.element not in found:
                found[product.element] = product
                waiting.append(product)
    return tuple(found[element] for element in ELEMENTS.values() if element in found)


def translated(field: Array, down: int, right: int) -> Array:
    """Return a field (…, n, n) moved by grid points on the periodic square: u(x) becomes u(x − (right, down) / n)."""
    return array_namespace(field).roll(field, (down, right), axis=(-2, -1))


def _declared(name: str, images: tuple[str, ...], coefficient_names: tuple[str, ...]) -> Symmetry:
    """Return one declared symmetry."""
    if name not in ELEMENTS:
        raise ValueError(f"{name!r} is no element of the square's group: {', '.join(ELEMENTS)}")
    if not isinstance(images, tuple) or not all(isinstance(image, str) for image in images):
        raise ValueError(f"symmetry {name!r} must be a tuple of coefficient names, not {images!r}")
    places, signs = [], []
    for image in images:
        minus = image.startswith("-") and image not in coefficient_names
        signs.append(-1 if minus else 1)
        places.append(image[1:] if minus else image)
    if sorted(places) != sorted(coefficient_names):
        raise ValueError(
            f"symmetry {name!r} must give each of {', '.join(coefficient_names)} once, with a '-' where its sign "
            f"changes, not {', '.join(images)}"
        )
    rest = range(len(coefficient_names), len(COEFFICIENT_NAMES))
    declared = Symmetry(ELEMENTS[name], (*map(coefficient_names.index, places), *rest), (*signs, *(1 for _ in rest)))
    if declared.element == Element() and declared != Symmetry(Element()):
        raise ValueError(
            f"symmetry {name!r} leaves every coefficient as it is, and cannot make {', '.join(images)} of them"
        )
    return declared
