"""How an evaluation is run, in one object: what every model and task of it has in common, checked once."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.folders import expanded
from pdebench_fm.protocol.methods import PROTOCOL_METHOD, AdaptFunction, Method, method_of
from pdebench_fm.protocol.tracks import SEEDS, Track, find_track
from pdebench_fm.results.fields import MOST_CELLS
from pdebench_fm.whole_numbers import as_whole_number


class SettingWords(TypedDict, total=False):
    """The settings beside the shots, as keyword arguments: see `RunSettings`."""

    track: str
    seeds: int
    scratch: bool
    recipe: str | None
    adaptation: str | Path | AdaptFunction | None
    deterministic: bool | None
    threads: int
    graphs: str | Path | None


@dataclass(frozen=True)
class RunSettings:
    """The settings of an evaluation; made by `settings_of`, which checks them.

    Attributes:
        shots: sizes of the support sets, ascending; 0 is zero-shot.
        track: "full" (128², the whole test split), "lite" (64², its first 512 rows), or one that is not ranked.
        seeds: adaptations for each number of shots above 0, with seeds 0, 1, …
        scratch: whether each model's architecture is trained from random weights too, where it can be made anew.
        method: how models are adapted.
        deterministic: whether PyTorch is held to deterministic algorithms; None for the default of a model's device:
            on a CPU it is.
        threads: that PyTorch computes a cell with on a CPU. One, unless said otherwise, whatever the machine has: sums
            over a batch are split by threads, so that another number gives other last digits; and several cells on a
            core each take less time than one on several cores.
        graphs: folder that each cell's model, adapted or as it is, is written to as an ONNX graph; None for none.
    """

    shots: tuple[int, ...] = (0,)
    track: Track = "full"
    seeds: int = SEEDS
    scratch: bool = True
    method: Method = PROTOCOL_METHOD
    deterministic: bool | None = None
    threads: int = 1
    graphs: Path | None = None


# `suite.plan` looks at the cells of a result; more threads than the system gives would end the process
_MOST = {"seeds": MOST_CELLS, "threads": 1024}
_TRUTH = {"scratch": (True, False), "deterministic": (True, False, None)}


def settings_of(shots: object = 0, **words: Any) -> RunSettings:
    """Return the settings that a user's arguments mean.

    Args:
        shots: a whole number or any iterable of such: a list, a range, an array.
        words: the others by name, see `SettingWords`.

    Raises:
        UsageError: for an unknown name, track, recipe or adaptation, for both of the latter, and for what is no whole
            number or no truth value: True and 1.0 are no numbers of shots.
        UserCodeError: if the code of a user's adaptation raises as it is opened.
    """
    for name in words:
        if name not in SettingWords.__annotations__:
            raise unknown_name("setting", name, SettingWords.__annotations__)
    for name, allowed in _TRUTH.items():
        if name in words and not any(words[name] is value for value in allowed):
            right = " or ".join(map(str, allowed))
            raise UsageError(f"{name} must be {right}, not {words[name]!r}")
    for name in ("seeds", "threads"):
        if name in words:
            words[name] = positive(name, words[name], most=_MOST[name])
    numbers = tuple(sorted(set(_numbers(shots))))
    if not numbers:
        raise UsageError("an evaluation needs at least one model, one task and one number of shots")
    if not isinstance(words.setdefault("track", RunSettings.track), str):
        raise UsageError(f"track must be a name, not {words['track']!r}")
    words["track"] = find_track(words["track"]).name
    words["graphs"] = _folder("graphs", words.get("graphs"))
    method = method_of(words.pop("recipe", None), words.pop("adaptation", None))
    return RunSettings(numbers, method=method, **words)


def positive(name: str, value: object, most: int | None = None) -> int:
    """Return a number of seeds, threads, workers, …; raise a `UsageError` for no whole number from 1 to `most`."""
    number = whole_number(name, value)
    if number < 1:
        raise UsageError(f"{name} must be at least 1, not {number}")
    if most is not None and number > most:
        raise UsageError(f"{name} must be at most {most}, not {number}")
    return number


def whole_number(name: str, value: object) -> int:
    """Return a whole number of Python's, NumPy's or PyTorch's as Python's.

    Raises:
        UsageError: for anything else; True, 1.0 and "1" are none.
    """
    number = as_whole_number(value)
    if number is None:
        raise UsageError(f"{name} must be a whole number, not {value!r}")
    return number


def _folder(name: str, value: object) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str | Path):
        raise UsageError(f"{name} must be a folder, not {value!r}")
    return expanded(value)


def _numbers(shots: object) -> list[int]:
    """Return the numbers of shots that were asked for, in any of the ways to say it."""
    single = getattr(shots, "ndim", None) == 0  # an array of one number can be called iterable and still is none
    if isinstance(shots, Iterable) and not isinstance(shots, str | bytes) and not single:
        return [whole_number("shots", number) for number in shots]
    return [whole_number("shots", shots)]
