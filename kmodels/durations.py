"""Lengths of time as people write and read them."""

from __future__ import annotations

import math
import re

__all__ = ["seconds_in", "spoken"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def spoken(seconds: float) -> str:
    """Returns a length of time in words.

    Example:
        >>> spoken(40), spoken(150), spoken(7000), spoken(700_000)
        ('40 s', '2.5 min', '1.9 h', '194 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 99.95 else f"{hours:.0f} h"


def seconds_in(text: str) -> float:
    """Returns the seconds of a length of time with its unit.

    Args:
        text: a number above 0 and `s`, `m` or `h`.

    Raises:
        ValueError: it is not one.

    Example:
        >>> seconds_in("90s"), seconds_in("9m"), seconds_in("1.5h")
        (90.0, 540.0, 5400.0)
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0.0 < seconds < math.inf:
        raise ValueError(f"expected a number above 0 with its unit, such as 90s, 9m or 1.5h. Received: {text!r}")
    return seconds
