"""Taking a step once in Python, on few samples, to find early what no graph can hold.

To record a step takes as long as some tens of Keras' steps, and what cannot be recorded may come at its very end. Here
the same function is called as it is, without the optimizer's update, which takes as long as one or two, while all that
it does to tensors is watched: it must not read a value that depends on the data on the host, take in a tensor from
elsewhere, or set a generator's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from kmodels.torch_step.causes import (
    CONSTANT,
    GENERATOR,
    READS,
    SEEDS,
    CannotRecord,
    cause_of,
    place_here,
    place_of,
    whole_tracebacks,
)
from kmodels.torch_step.listing import Calls, Operations

__all__ = ["Taken", "WritesState", "rehearse"]

_SCATTERED = 0  # in place of an address, for sparse tensors, which lie in several pieces of memory
# What turns a tensor into something of Python's, for which a graph has no place. Of what was computed from constants
# alone the first ones can be known while a step is recorded, the second ones are never.
_OF_DATA = (
    *(getattr(Tensor, f"__{name}__") for name in ("bool", "int", "float", "complex", "index", "contains", "format")),
    *(Tensor.item, Tensor.tolist, Tensor.is_nonzero, torch.is_nonzero, Tensor.__repr__),
)
_OF_ANY = (
    *(getattr(Tensor, f"__{name}__") for name in ("array", "deepcopy", "dlpack", "reduce_ex")),
    *(
        Tensor.numpy,
        Tensor.data_ptr,
        Tensor.untyped_storage,
        Tensor.equal,
        torch.equal,
        Tensor.allclose,
        torch.allclose,
    ),
)
_ALL = frozenset((*_OF_DATA, *_OF_ANY))
_STATISTICS = frozenset({"running_mean", "running_var"})  # which some kernels write though their schema does not say so


class WritesState(CannotRecord):
    """A step is about to write over the state in place; on copies of it the rehearsal can be repeated."""


@dataclass(frozen=True)
class Taken:
    """A step that was taken.

    Attributes:
        calls: of PyTorch by Python, in order.
        operations: how many they came to.
    """

    calls: list[tuple[Any, ...]]
    operations: int


def rehearse(
    step: Callable[[list[Tensor]], Any],
    state: Sequence[Tensor],
    batch: Sequence[Tensor],
    *,
    shared: int,
    samples: int | None = None,
    copied: bool = False,
) -> Taken:
    """Takes a step, and leaves every tensor and PyTorch's generators as they were.

    Args:
        step: function of `[*state, *batch]`.
        state: what it reads.
        batch: what changes from batch to batch, `(samples, ...)`.
        shared: how many tensors at the beginning of the batch are for all batches; they are not cut.
        samples: how many of the batch; None for all.
        copied: give the step copies of the state, which it may write over.

    Raises:
        WritesState: the step writes over the state, or what is for all batches.
        CannotRecord: the function does something that no graph can hold, or raises an error.
    """
    given = [(tensor[:samples] if tensor.ndim else tensor).detach().clone() for tensor in batch[shared:]]
    held = [_alike(tensor.detach().clone() if copied else tensor.detach(), tensor) for tensor in state]
    kept = [*batch[:shared], *([] if copied else held)]
    devices = [tensor.device for tensor in state[:1] if tensor.device.type == "cuda"]
    with torch.random.fork_rng(devices=devices), whole_tracebacks():
        seen = _Seen(state, kept, [*held, *given], _Draws(devices))
        taken = _taken(step, [*held, *batch[:shared], *given], seen)
        kind, cause = seen.kind, seen.cause
    del given, held, kept, seen  # an error that is raised would keep them, in its own frames
    if cause:  # whatever became of the error, which the step may have caught
        raise kind(cause)
    return taken


def _taken(step: Callable[[list[Tensor]], Any], tensors: list[Tensor], seen: _Seen) -> Taken:
    operations = _Operations(seen)
    calls = _Calls(operations, seen)
    with calls, operations:
        try:
            step(tensors)
        except Exception as error:
            if not seen.cause:
                seen.cause = str(error) if isinstance(error, CannotRecord) else cause_of(error, place_of(error))
    if not seen.cause and seen.draws.moved():
        seen.cause = SEEDS
    return Taken(calls.made, operations.count)


class _Refused(RuntimeError):
    """Ends a rehearsal from inside."""


class _Draws:
    """Whether something else than an operation has moved PyTorch's generators."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self._devices = devices
        self.remember()

    def remember(self) -> None:
        self._states = self._now()

    def moved(self) -> bool:
        return self._now() != self._states

    def _now(self) -> list[bytes]:
        states = [torch.random.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self._devices)]
        return [memoryview(state.numpy()).tobytes() for state in states]


class _Seen:
    """Which pieces of memory are known, and which of them hold what depends on state, batch or chance.

    An address may come again in another piece of memory: whatever an operation returns is entered anew. What has no
    address of its own is taken for known, and for data.
    """

    def __init__(
        self, variables: Sequence[Tensor], kept: Sequence[Tensor], given: Sequence[Tensor], draws: _Draws
    ) -> None:
        self.cause, self.kind = "", CannotRecord
        self.draws = draws
        self.variables = {id(tensor) for tensor in variables}
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
            self.refuse("it writes over a variable in place", WritesState)
        if not all(map(self.has, written)):
            self.refuse(CONSTANT)

    def refuse(self, cause: str, kind: type[CannotRecord] = CannotRecord) -> None:
        if not self.cause:
            self.cause, self.kind = f"{cause}{place_here()}", kind
        raise _Refused(cause)


class _Calls(Calls):
    """Sees what is asked of tensors by Python."""

    def __init__(self, operations: Operations, seen: _Seen) -> None:
        super().__init__(operations)
        self._seen = seen

    def look(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen = self._seen
        if function in _ALL and (function not in _OF_DATA or any(map(seen.is_data, args[:1]))):
            seen.refuse(READS)
        if any(id(tensor) in seen.variables for tensor in _tensors((*args, *kwargs.values()))):
            seen.refuse(CONSTANT)  # a parameter itself, where the step would have given it its value

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = super().__torch_function__(function, types, args, kwargs)
        if function is torch.from_numpy:  # no operation
            self._seen.enter(result, data=False)
        return result


class _Operations(Operations):
    """Sees every operation, those of the backward pass too."""

    def __init__(self, seen: _Seen) -> None:
        super().__init__()
        self._seen = seen

    def compute(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        seen, tensors = self._seen, list(_tensors((*args, *kwargs.values())))
        if operation is torch.ops.aten.lift_fresh.default:  # a new constant, whose address may have been another's
            tensors = []
        foreign = [tensor for tensor in tensors if not seen.has(tensor)]
        constant = len(foreign) == len(tensors) and all(tensor.numel() == 1 for tensor in foreign)
        if foreign and not constant:
            seen.refuse(CONSTANT)
        if kwargs.get("generator") is not None:
            seen.refuse(GENERATOR)
        seen.require_spared(list(_tensors(_written(operation, args, kwargs))))
        drawn = torch.Tag.nondeterministic_seeded in operation.tags
        if drawn and seen.draws.moved():
            seen.refuse(SEEDS)
        data = drawn or any(map(seen.is_data, tensors))
        result = operation(*args, **kwargs)
        if drawn:
            seen.draws.remember()
        for tensor in _tensors((result,)):
            seen.enter(tensor, data=data)
        return result


def _alike(other: Tensor, tensor: Tensor) -> Tensor:
    """Another object than a variable's, so that either is known; operations differ by `requires_grad`."""
    return other.requires_grad_(tensor.requires_grad)


def _written(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """What an operation writes over."""
    places, names = _writes(operation)
    return [args[place] for place in places if place < len(args)] + [kwargs[name] for name in names if name in kwargs]


@cache
def _writes(operation: Any) -> tuple[list[int], list[str]]:
    """The arguments that an operation writes over, by place and by name."""
    arguments = enumerate(operation._schema.arguments)
    written = [(place, each.name) for place, each in arguments if each.is_write or each.name in _STATISTICS]
    return [place for place, _ in written], [name for _, name in written]


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _address(tensor: Tensor) -> int:
    """Of the memory that a tensor lies in, which views of it share."""
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided else _SCATTERED
