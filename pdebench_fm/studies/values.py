"""The kinds of values that a study's file has: words, names and numbers, none taken for another kind."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, FiniteFloat, PositiveFloat, PositiveInt, StringConstraints

from pdebench_fm.results.fields import duplicates
from pdebench_fm.text import is_plain


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError("it should have no control characters or marks of format")
    return text


Words = Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True), AfterValidator(_plain)]
"""A text, which figures and tables show."""

Name = Annotated[str, StringConstraints(pattern="^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=60)]
Shots = Annotated[int, Field(strict=True, ge=0, le=2**20)]
Seeds = Annotated[PositiveInt, Field(strict=True, le=100)]
Number = Annotated[FiniteFloat, Field(strict=True)]
PositiveNumber = Annotated[PositiveFloat, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0.0, le=1.0)]

T = TypeVar("T")


def each_once(values: tuple[T, ...]) -> tuple[T, ...]:
    """Return what is a list of different values; a `ValueError` names one that is there twice."""
    if again := duplicates(map(str, values)):
        raise ValueError(f"{again[0]} is there twice: name it once")
    return values
