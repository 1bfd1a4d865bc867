"""One form for every error about a value: its name, what was expected, what came."""

from __future__ import annotations

__all__ = ["require"]


def require(condition: bool, name: str, expected: str, value: object) -> None:
    """Raises ValueError unless the condition holds.

    Example:
        >>> require(False, "dropout", "a number in [0, 1)", 1.5)
        Traceback (most recent call last):
        ValueError: dropout: expected a number in [0, 1). Received: dropout=1.5
    """
    if not condition:
        raise ValueError(f"{name}: expected {expected}. Received: {name}={value!r}")
