"""How the site writes numbers and names."""


def number(value: float, digits: int = 3) -> str:
    """Return `value` with this many significant digits, trailing zeros kept: 0.0800, 4.21, 1234, 8.30e-5."""
    if value == 0:
        return "0"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if -4 <= exponent < 6:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{mantissa}e{exponent}"


def parameters(count: int | None) -> str:
    """Return a number of parameters rounded, a dash where it is not known."""
    from pdebench_fm.models.sizes import rounded_count  # beside models, which take PyTorch's time and memory

    return "–" if count is None else rounded_count(count)


def short(text: str) -> str:
    """Return the first 12 characters of a Git commit, and any other revision whole."""
    return text[:12] if len(text) == 40 and set(text) <= set("0123456789abcdef") else text
