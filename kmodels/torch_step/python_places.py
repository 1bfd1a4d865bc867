"""Places where Python keeps values: each remembers what was there, says whether it still is, and can put it back."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from operator import is_, itemgetter
from types import CellType
from typing import Any

import numpy as np
import torch

__all__ = ["PLAIN", "Array", "Attributes", "Cell", "Generator", "Items", "Place", "Slots", "Tensor", "content"]

PLAIN = (bool, int, float, complex, str, bytes, type(None))
"""Types compared by value; everything else is the same only if it is the same object."""

_MISSING = object()
_SHORT = 16  # elements


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, PLAIN) and (a == b or (a != a and b != b)))


class Place(ABC):
    """One place.

    Attributes:
        name: in words for the user.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def same(self) -> bool:
        """Returns whether nothing has changed."""

    @abstractmethod
    def restore(self) -> None:
        """Puts back what was there."""

    def what(self) -> str:
        """Returns the name of what has changed."""
        return self.name


class Attributes(Place):
    """Values by name: of an object, a class, a module or a dictionary.

    Args:
        name: of the owner.
        held: where the values are.
        names: those that are watched.
        added: tells whether a name that was not there before matters; None where none does.
        write: sets a value; by default into `held`.
    """

    def __init__(
        self,
        name: str,
        held: Mapping[Any, Any],
        names: Sequence[Any],
        added: Callable[[Any], bool] | None = None,
        write: Callable[[Any, Any], None] | None = None,
    ) -> None:
        super().__init__(name)
        self._held, self._names, self._added, self._write = held, list(names), added, write
        self._known, self._length = set(held) if added else set(), len(held)
        self._get: Callable[[Any], tuple[Any, ...]] = lambda found: tuple(found[n] for n in self._names)
        if len(self._names) > 1:
            self._get = itemgetter(*self._names)
        self._values = self._get(held)

    def same(self) -> bool:
        """See `Place`."""
        try:
            now = self._get(self._held)
        except KeyError:
            return False
        if not all(map(is_, now, self._values)) and not all(map(_same, now, self._values)):
            return False
        return self._added is None or len(self._held) == self._length or not self._new()

    def restore(self) -> None:
        """See `Place`."""
        held: Any = self._held
        for name, value in zip(self._names, self._values, strict=True):
            if held.get(name, _MISSING) is not value:
                (self._write or held.__setitem__)(name, value)
        for name in self._new():
            del held[name]

    def what(self) -> str:
        """See `Place`."""
        pairs = zip(self._names, self._values, strict=True)
        different = [n for n, value in pairs if not _same(self._held.get(n, _MISSING), value)]
        return f"{self.name}.{[*different, *self._new()][0]}"

    def _new(self) -> list[Any]:
        return [n for n in self._held if n not in self._known and self._added(n)] if self._added else []


class Slots(MutableMapping[str, Any]):
    """An object's `__slots__` as a mapping, for `Attributes`.

    Args:
        owner: the object.
        names: of its slots, filled or not.
    """

    def __init__(self, owner: object, names: Sequence[str]) -> None:
        self._owner, self._names = owner, names

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self._owner, name)
        except AttributeError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        object.__setattr__(self._owner, name, value)

    def __delitem__(self, name: str) -> None:
        object.__delattr__(self._owner, name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if hasattr(self._owner, name))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Items(Place):
    """The items of a list, queue or set."""

    def __init__(self, name: str, held: list[Any] | deque[Any] | set[Any]) -> None:
        super().__init__(name)
        self._held, self._values = held, tuple(held)

    def same(self) -> bool:
        """See `Place`."""
        if len(self._held) != len(self._values):
            return False
        return all(map(is_, self._held, self._values)) or all(map(_same, self._held, self._values))

    def restore(self) -> None:
        """See `Place`."""
        self._held.clear()
        (self._held.update if isinstance(self._held, set) else self._held.extend)(self._values)


class Array(Place):
    """The numbers in an array."""

    def __init__(self, name: str, held: np.ndarray) -> None:
        super().__init__(name)
        self._held, self._values = held, held.copy()

    def same(self) -> bool:
        """See `Place`."""
        return self._held.tobytes() == self._values.tobytes()

    def restore(self) -> None:
        """See `Place`."""
        self._held[...] = self._values


class Tensor(Place):
    """A tensor that is no variable of the model, whose value a step might read while it is recorded.

    It tells a change by PyTorch's count of writes, and small tensors on a CPU by their values.
    """

    def __init__(self, name: str, held: torch.Tensor) -> None:
        super().__init__(name)
        self._held, self._short = held, held.device.type == "cpu" and held.numel() <= _SHORT
        self._state = self._read()

    def _read(self) -> tuple[Any, ...]:
        return self._held._version, self._held.data_ptr(), repr(self._held.tolist()) if self._short else ""

    def same(self) -> bool:
        """See `Place`."""
        return self._read() == self._state

    def restore(self) -> None:
        """Does nothing: while a step is recorded, nothing is written to it."""


class Cell(Place):
    """A variable that a function shares with the function around it, or one of the context."""

    def __init__(self, name: str, held: CellType | ContextVar[Any]) -> None:
        super().__init__(name)
        self._held, self._value = held, content(held)

    def same(self) -> bool:
        """See `Place`."""
        return _same(content(self._held), self._value)

    def restore(self) -> None:
        """See `Place`."""
        if self._value is _MISSING:
            return
        if isinstance(self._held, ContextVar):
            self._held.set(self._value)
        else:
            self._held.cell_contents = self._value


def content(held: CellType | ContextVar[Any]) -> Any:
    """Returns what a cell or a variable of the context holds; an object of no meaning while it is empty."""
    try:
        return held.get() if isinstance(held, ContextVar) else held.cell_contents
    except (ValueError, LookupError):
        return _MISSING


class Generator(Place):
    """A generator of random numbers outside of PyTorch: `random`, `numpy.random`, or an object of theirs."""

    def __init__(self, name: str, held: Any) -> None:
        super().__init__(name)
        self._held = held
        self._state = self._read()

    def _read(self) -> Any:
        if isinstance(self._held, np.random.Generator):
            return repr(self._held.bit_generator.state), self._held.bit_generator.state
        state = self._held.get_state() if hasattr(self._held, "get_state") else self._held.getstate()
        return repr(state), state

    def same(self) -> bool:
        """See `Place`."""
        return bool(self._read()[0] == self._state[0])

    def restore(self) -> None:
        """See `Place`."""
        state = self._state[1]
        if isinstance(self._held, np.random.Generator):
            self._held.bit_generator.state = state
        elif isinstance(self._held, random.Random) or self._held is random:
            self._held.setstate(state)
        else:
            self._held.set_state(state)
