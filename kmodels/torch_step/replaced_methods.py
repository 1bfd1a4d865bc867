"""Methods that one object has in place of those of its class."""

from __future__ import annotations

__all__ = ["is_replaced", "replaced_methods"]

_BY_KERAS = frozenset({"build", "quantize"})  # which wraps them in every layer


def is_replaced(owner: object, name: str) -> bool:
    """Returns whether a name in an object's dictionary would stand for a method of its class.

    Args:
        owner: any object.
        name: in its dictionary, now or later.
    """
    return name not in _BY_KERAS and callable(getattr(type(owner), name, None))


def replaced_methods(owner: object) -> list[str]:
    """Returns the names of the methods that an object has of its own, in the order in which they came.

    Example:
        >>> class Square:
        ...     def area(self):
        ...         return 1
        >>> square = Square()
        >>> square.area, square.name = lambda: 2, "s"
        >>> replaced_methods(square)
        ['area']
    """
    return [name for name in vars(owner) if is_replaced(owner, name)]
