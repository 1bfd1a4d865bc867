"""Checks that several builders make of their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kmodels.checks import require

__all__ = ["require", "require_dropout", "require_input_shape", "require_integer", "require_integers"]


def require_input_shape(input_shape: tuple[int, int, int], *, smallest: int) -> None:
    """Raises ValueError unless the shape is (height, width, channels) with both sides at least `smallest` pixels."""
    expected = f"(height, width, channels) with at least {smallest} pixels a side and 1 channel"
    ok = isinstance(input_shape, Sequence) and len(input_shape) == 3 and all(map(_is_integer, input_shape))
    require(ok and min(input_shape[:2]) >= smallest and input_shape[2] >= 1, "input_shape", expected, input_shape)


def require_integer(name: str, value: Any, least: int, most: int | None = None, which: str = "") -> None:
    """Raises ValueError unless the value is an integer from `least` to `most` (None: or more).

    Example:
        >>> require_integer("reduction", 65, 1, 64, ", the fewest channels")
        Traceback (most recent call last):
        ValueError: reduction: expected an integer from 1 to 64, the fewest channels. Received: reduction=65
    """
    ok = _is_integer(value) and value >= least and (most is None or value <= most)
    expected = f"an integer, {least} or more" if most is None else f"an integer from {least} to {most}"
    require(ok, name, expected + which, value)


def require_integers(name: str, values: Any, expected: str, fewest: int = 0, most: int | None = None) -> None:
    """Raises ValueError unless the value is a sequence of `fewest` to `most` (None: or more) integers of 1 or more."""
    ok = isinstance(values, Sequence) and len(values) >= fewest and (most is None or len(values) <= most)
    require(ok and all(_is_integer(v) and v >= 1 for v in values), name, expected, values)


def require_dropout(dropout: Any) -> None:
    """Raises ValueError unless the value is a number in [0, 1)."""
    ok = isinstance(dropout, int | float) and 0.0 <= dropout < 1.0
    require(ok, "dropout", "a number in [0, 1)", dropout)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
