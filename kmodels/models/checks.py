"""Checks that several builders make of their arguments."""

from __future__ import annotations

from kmodels.checks import require

__all__ = ["require", "require_input_shape"]


def require_input_shape(input_shape: tuple[int, int, int], *, smallest: int) -> None:
    """Raises ValueError unless the shape is (height, width, channels) with both sides at least `smallest` pixels."""
    expected = f"(height, width, channels) with at least {smallest} pixels a side and 1 channel"
    ok = len(input_shape) == 3 and all(isinstance(size, int) for size in input_shape)
    require(ok and min(input_shape[:2]) >= smallest and input_shape[2] >= 1, "input_shape", expected, input_shape)
