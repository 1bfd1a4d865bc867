"""Taking a step once in Python, on few samples, to find early what no graph can hold.

To record a step takes as long as some tens of Keras' steps, and what cannot be recorded may come at its very end. Here
the same function is called as it is, without the optimizer's update, which takes as long as one or two, while all that
it does to tensors is watched: it must not read a value that depends on the data on the host, nor take in a tensor from
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from kmodels.torch_step.causes import (
    CONSTANT,
    GENERATOR,
    READS,
    CannotRecord,
    cause_of,
    place_here,
    place_of,
    whole_tracebacks,
)

__all__ = ["rehearse"]

_SCATTERED = 0  # in place of an address, for sparse tensors, which lie in several pieces of memory
# What turns a tensor into something of Python's, for which a graph has no place. Of what was computed from constants
# alone the first ones can be known while a step is recorded, the second ones are never.
_OF_DATA = (
    *(getattr(Tensor, f"__{name}__") for name in ("bool", "int", "float", "complex", "index")),
    *(Tensor.item, Tensor.is_nonzero, torch.is_nonzero),
)
_OF_ANY = (Tensor.numpy, Tensor.__array__, Tensor.data_ptr, *(torch.equal, Tensor.equal, torch.allclose))
_ALL = frozenset((*_OF_DATA, *_OF_ANY, Tensor.allclose))


def rehearse(
    step: Callable[[list[Tensor]], Any],
    state: Sequence[Tensor],
    batch: Sequence[Tensor],
    *,
    shared: int,
    samples: int | None = None,
) -> bool:
    """Takes a step, and leaves every tensor and PyTorch's generators as they were.

    Args:
        step: function of `[*state, *batch]`, which writes nothing of the state.
        state: what it reads.
        batch: what changes from batch to batch, `(samples, ...)`.
        shared: how many tensors at the beginning of the batch are for all batches; they are not cut.
        samples: how many of the batch; None for all.

    Returns:
        Whether it went through; else it was about to write over the state, and nothing is known.

    Raises:
        CannotRecord: the function does something that no graph can hold, or raises an error.
    """
    given = [(tensor[:samples] if tensor.ndim else tensor).detach().clone() for tensor in batch[shared:]]
    kept = [*state, *batch[:shared]]
    seen = _Seen(kept, given)
    devices = [tensor.device for tensor in kept[:1] if tensor.device.type == "cuda"]
    with torch.random.fork_rng(devices=devices), whole_tracebacks(), _Calls(seen), _Operations(seen):
        try:
            step([*kept, *given])
        except CannotRecord:
            raise
        except Exception as error:
            if seen.cause is None and not seen.written:
                raise CannotRecord(cause_of(error, place_of(error))) from error
    if seen.cause is not None:  # whatever became of the error, which the step may have caught
        raise CannotRecord(seen.cause)
    return not seen.written


class _Refused(RuntimeError):
    """Ends a rehearsal from inside."""


class _Seen:
    """Which pieces of memory are known, and which of them hold what depends on state, batch or chance.

    An address may come again in another piece of memory: whatever an operation returns is entered anew.
    """

    def __init__(self, kept: Sequence[Tensor], given: Sequence[Tensor]) -> None:
        self.cause: str | None = None
        self.written = False
        self.computing = False  # inside a kernel, which may read what it likes
        self._kept = {_address(tensor) for tensor in kept}
        self._known = {_address(tensor) for tensor in given} | self._kept | {_SCATTERED}
        self._data = set(self._known)

    def has(self, tensor: Tensor) -> bool:
        return _address(tensor) in self._known

    def is_data(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor) and _address(tensor) in self._data

    def enter(self, tensor: Tensor, *, data: bool) -> None:
        address = _address(tensor)
        if address != _SCATTERED:
            self._known.add(address)
            (self._data.add if data else self._data.discard)(address)

    def require_spared(self, written: Sequence[Tensor]) -> None:
        if not self._kept.isdisjoint(map(_address, written)):
            self.written = True
            raise _Refused("it writes over what has to be kept")

    def refuse(self, cause: str) -> None:
        self.cause = self.cause or f"{cause}{place_here()}"
        raise _Refused(cause)


class _Calls(TorchFunctionMode):
    """Sees what is asked of tensors by Python."""

    def __init__(self, seen: _Seen) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        asked = function in _ALL and not self._seen.computing
        if asked and (function not in _OF_DATA or any(map(self._seen.is_data, args[:1]))):
            self._seen.refuse(READS)
        result = function(*args, **(kwargs or {}))
        if function is torch.from_numpy:  # no operation
            self._seen.enter(result, data=False)
        return result


class _Operations(TorchDispatchMode):
    """Sees every operation, those of the backward pass too."""

    def __init__(self, seen: _Seen) -> None:
        super().__init__()
        self._seen = seen

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = list(_tensors((*args, *kwargs.values())))
        if operation is torch.ops.aten.lift_fresh.default:  # a new constant, whose address may have been another's
            tensors = []
        foreign = [tensor for tensor in tensors if not self._seen.has(tensor)]
        constant = len(foreign) == len(tensors) and all(tensor.numel() == 1 for tensor in foreign)
        if foreign and not constant:
            self._seen.refuse(CONSTANT)
        if kwargs.get("generator") is not None:
            self._seen.refuse(GENERATOR)
        if operation._schema.is_mutable:
            self._seen.require_spared(list(_tensors(_written(operation._schema, args, kwargs))))
        data = any(map(self._seen.is_data, tensors)) or torch.Tag.nondeterministic_seeded in operation.tags
        self._seen.computing = True
        try:
            result = operation(*args, **kwargs)
        finally:
            self._seen.computing = False
        for tensor in _tensors((result,)):
            self._seen.enter(tensor, data=data)
        return result


def _written(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """What an operation writes over, by its schema."""
    names = [argument.name for argument in schema.arguments if argument.is_write]
    given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
    return [given[name] for name in names if name in given]


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _address(tensor: Tensor) -> int:
    """Of the memory that a tensor lies in, which views of it share."""
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided else _SCATTERED
