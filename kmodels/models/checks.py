"""Checks of builder arguments: every error names the argument, what was expected and what came."""

from __future__ import annotations

__all__ = ["require", "require_input_shape"]


def require(condition: bool, name: str, expected: str, value: object) -> None:
    """Raises ValueError unless the condition holds.

    Example:
        >>> require(False, "dropout", "a number in [0, 1)", 1.5)
        Traceback (most recent call last):
        ValueError: dropout: expected a number in [0, 1). Received: dropout=1.5
    """
    if not condition:
        raise ValueError(f"{name}: expected {expected}. Received: {name}={value!r}")


def require_input_shape(input_shape: tuple[int, int, int], *, smallest: int) -> None:
    """Raises ValueError unless the shape is (height, width, channels) with both sides at least `smallest` pixels."""
    expected = f"(height, width, channels) with at least {smallest} pixels a side and 1 channel"
    ok = len(input_shape) == 3 and all(isinstance(size, int) for size in input_shape)
    require(ok and min(input_shape[:2]) >= smallest and input_shape[2] >= 1, "input_shape", expected, input_shape)
