"""What Python asks of PyTorch in a step, in order: with values it must be the same as while the step is recorded.

Code that looks at what a graph cannot hold may go another way while it is recorded: where it catches the error of a
read, asks for a tensor's type, or makes text of it. Then the two lists differ. What PyTorch makes of a call is not
listed, as that may depend on the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Calls", "Operations", "difference", "unlisted"]

_listing = ContextVar("listing", default=True)
_FAILED = ("fails",)
_SYMBOLS = (torch.SymFloat, torch.SymBool)  # of a constant that is read while a step is recorded
_ANY = "a number"


class Operations(TorchDispatchMode):
    """Counts operations, those of the backward pass too.

    Attributes:
        count: so far.
        inside: whether one is being computed, which may itself call what it likes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count, self.inside = 0, False

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += 1
        before, self.inside = self.inside, True
        try:
            return self.compute(operation, args, kwargs or {})
        finally:
            self.inside = before

    def compute(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Computes an operation."""
        return operation(*args, **kwargs)


class Calls(TorchFunctionMode):
    """Lists the calls of PyTorch's functions and of tensors' methods, but for attributes, which PyTorch reads as well.

    Of the arguments those are listed that no number of samples comes into: fractions, truth values and words.

    Args:
        operations: entered after it; what is called inside of one is not listed.

    Attributes:
        made: function and arguments of each, in order; each failure after its call.
    """

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self._operations = operations
        self.made: list[tuple[Any, ...]] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._operations.inside or not _listing.get():
            return function(*args, **kwargs)
        self.look(function, args, kwargs)
        if getattr(function, "__name__", None) == "__get__":
            return function(*args, **kwargs)
        self.made.append((function, *_plain(args, kwargs)))
        try:
            return function(*args, **kwargs)
        except Exception:
            self.made.append(_FAILED)
            raise

    def look(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Sees a call before it is made."""


@contextmanager
def unlisted() -> Iterator[None]:
    """Leaves out what is done inside: what only the recorded step does, such as the optimizer's update."""
    token = _listing.set(False)
    try:
        yield
    finally:
        _listing.reset(token)


def difference(made: Sequence[tuple[Any, ...]], recorded: Sequence[tuple[Any, ...]]) -> str | None:
    """Returns the first difference of two lists of calls in words, or None.

    Args:
        made: with values.
        recorded: without.
    """
    for place in range(max(len(made), len(recorded))):
        first, second = (each[place] if place < len(each) else None for each in (made, recorded))
        if not _alike(first, second):
            return f"without values it does something else: {_name(second)} in place of {_name(first)}"
    return None


def _plain(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    kept = (bool, float, str, *_SYMBOLS)
    return [_ANY if type(each) in _SYMBOLS else repr(each) for each in (*args, *kwargs.values()) if type(each) in kept]


def _alike(first: tuple[Any, ...] | None, second: tuple[Any, ...] | None) -> bool:
    if first is None or second is None or len(first) != len(second):
        return False
    return all(one == other or _ANY in (one, other) for one, other in zip(first, second, strict=True))


def _name(call: tuple[Any, ...] | None) -> str:
    if call is None:
        return "nothing"
    function, *plain = call
    name = function if isinstance(function, str) else resolve_name(function) or str(function)
    return f"{name}({', '.join(plain)})" if plain else name
