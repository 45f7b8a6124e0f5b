"""What models and organisations may be called: names that can be folders, and are not taken for each other."""

import re
import unicodedata

from pdebench_fm.errors import UsageError

HOME_ORGANISATION = "pdebench-fm"
"""This project, on the Hub and on leaderboards."""

_LONGEST = 96  # the Hub's limit
_SUFFIXES = (".json", ".parquet", ".part", ".git")
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))})
_ALLOWED = "letters, digits and single '-', '_' or '.' between them"


def safe_name(text: str) -> str:
    """Return a text with only what a name may hold: on every system, a folder can be called so."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", text)
    name = re.sub(r"\.{2,}", ".", name)[:_LONGEST].strip("-._") or "model"
    if name.lower().endswith(_SUFFIXES):
        return safe_name(name.replace(".", "-"))
    return safe_name(f"model-{name}") if _is_device(name) else name


def check_model_name(name: str) -> None:
    """Raise a `UsageError` unless a result can call a model this, `name` or `organisation/name`."""
    if not isinstance(name, str):
        raise UsageError(f"a model's name is text, not {name!r}")
    parts = name.split("/")
    if len(parts) > 2 or any(safe_name(part) != part for part in parts):
        raise UsageError(
            f"a model cannot be called {name!r}: {_wrong_with(parts)}use {_ALLOWED}, as in 'my-model' or "
            "'organisation/my-model'"
        )


def check_folder_names(owner: str, name: str) -> None:
    """Raise a `UsageError` unless an organisation and a model can have folders of these names on a leaderboard."""
    for kind, text in (("organisation", owner), ("model", name)):
        if safe_name(text) != text:
            raise UsageError(
                f"{kind} name {text!r} cannot be a folder on the leaderboard: {_wrong_with([text])}use {_ALLOWED}, as "
                "in 'org/name'"
            )


def outline(name: str) -> str:
    """Return what a name looks like at a glance: names with the same outline are easily taken for each other.

    Names have ASCII letters and digits alone, so this covers what is confusable there, by Unicode's list (Technical
    Standard 39): I, l and 1, O and 0, rn and m, vv and w; S and 5, in some fonts; and separators, - _ and . alike.
    """
    looks = unicodedata.normalize("NFKC", name).lower()
    for like, same in (
        ("rn", "m"),
        ("vv", "w"),
        ("0", "o"),
        ("1", "l"),
        ("i", "l"),
        ("5", "s"),
        ("_", "-"),
        (".", "-"),
    ):
        looks = looks.replace(like, same)
    return looks


def bare_outline(name: str) -> str:
    """Return what a name looks like without blanks and signs, which are easily overlooked."""
    return "".join(filter(str.isalnum, outline(name)))


def _is_device(name: str) -> bool:
    return name.partition(".")[0].lower() in _DEVICES


def _wrong_with(parts: list[str]) -> str:
    """Return what is wrong with names of letters and signs that are allowed, "" if it is not that."""
    if any(part.lower().endswith(_SUFFIXES) or _is_device(part) for part in parts):
        return (
            f"programs take it for something else, as it ends in {' or '.join(_SUFFIXES)} or is the name of a device "
            "such as 'con'; "
        )
    return ""
