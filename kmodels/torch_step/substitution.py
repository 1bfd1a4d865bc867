"""Which of a model's layers are computed by PyTorch's kernels, alone or two at once.

While a step is recorded, the functions of `layer_calls` take the place of the `call` of the layers they know, so that
everything else that Keras does around a call (casts, masks, losses) stays Keras' own. Two layers that Keras needs where
PyTorch has one kernel (zeros, then a convolution; pooling with an edge, then every second pixel) become one: the first
puts its work off, and the second does it with its own. A loss, or a model's own `call`, may use either of the two as it
likes, and gets what Keras would give it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import torch
from keras import tree

from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.layer_calls import Call, call_of, convolution, max_pooling
from kmodels.torch_step.replaced_methods import replaced_methods

__all__ = ["substituted", "substitutes"]


def substitutes(model: keras.Model) -> dict[keras.layers.Layer, Call]:
    """Returns for each layer that is known, in a setting that is known, the function computing it; nested ones too."""
    leaves = list(_leaves(model))
    found = {layer: call for layer in leaves if (call := call_of(layer)) is not None}
    ends = {id(tensor) for part in (model, *_models(model)) for tensor in getattr(part, "outputs", None) or ()}
    for first in leaves:
        second = _only_consumer(first, ends)
        merged = _merged(first, second) if second in found else None
        if merged is not None:
            alone = found.get(first) or partial(type(first).call, first)
            found[first], found[second] = _putting_off(first, alone), _at_once(first, second, merged, found[second])
    return found


@contextmanager
def substituted(model: keras.Model) -> Iterator[None]:
    """Lets the known layers of a model be computed by the functions of `substitutes` while the block runs."""
    replaced = substitutes(model)
    try:
        for layer, call in replaced.items():
            layer.__dict__["call"] = call  # not setattr, which Keras tracks
        yield
    finally:
        for layer in replaced:
            layer.__dict__.pop("call", None)


def _leaves(model: Any) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        else:
            yield layer


def _models(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield layer
            yield from _models(layer)


def _only_consumer(layer: Any, ends: set[int]) -> Any:
    """Returns the layer that alone uses this one's output, each of them used once; else None."""
    if len(layer._inbound_nodes) != 1 or len(layer._outbound_nodes) != 1 or id(layer.output) in ends:
        return None
    consumer = layer._outbound_nodes[0].operation
    alone = len(consumer._inbound_nodes) == 1 and len(consumer._inbound_nodes[0].input_tensors) == 1
    replaced = replaced_methods(layer) or replaced_methods(consumer)
    return consumer if alone and not replaced and getattr(layer, "activity_regularizer", None) is None else None


def _merged(first: Any, second: Any) -> Call | None:
    """Returns what computes two layers at once, or None where they are no such pair."""
    if any(getattr(layer, "data_format", None) != "channels_last" for layer in (first, second)):
        return None
    if any(layer._remat_mode is not None for layer in (first, second)):
        return None  # computed again in the backward pass, of what was kept of the one or the other
    if type(first) is keras.layers.ZeroPadding2D and type(second) is keras.layers.Conv2D:
        (top, bottom), (left, right) = first.padding
        even = top == bottom and left == right
        return convolution(second, (top, left)) if even and second.padding == "valid" else None
    if type(first) is keras.layers.MaxPooling2D and type(second) is keras.layers.MaxPooling2D:
        size = first.pool_size
        edge = first.padding == "same" and first.strides == (1, 1) and all(length % 2 for length in size)
        if edge and second.padding == "valid" and second.pool_size == (1, 1):
            return max_pooling(size, second.strides, tuple(length // 2 for length in size))
    return None


class _PutOff(torch.Tensor):
    """What a layer returns, computed as soon as anybody asks for more than its shape and type, and for nobody else.

    Attributes:
        layer: that returns it.
        inputs: what the layer was given.
    """

    layer: Any
    inputs: torch.Tensor
    _call: Call
    _values: torch.Tensor | None
    _gradients: bool
    _version_given: int

    def __new__(cls, layer: Any, call: Call, inputs: torch.Tensor) -> _PutOff:
        shape = layer.compute_output_shape(tuple(inputs.shape))
        # no operation: it comes into no graph and takes no memory
        new: _PutOff = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=inputs.dtype, device=inputs.device)
        new.layer, new.inputs, new._call, new._values = layer, inputs, call, None
        new._gradients, new._version_given = torch.is_grad_enabled(), inputs._version
        return new

    @property
    def waits(self) -> bool:
        """Whether nobody has asked for the values; who did may have changed them in place."""
        return self._values is None

    def require_as_given(self) -> None:
        """Raises CannotRecord where the layer would not compute any more what it would have when it was called."""
        if torch.is_grad_enabled() != self._gradients:
            raise CannotRecord(f"the output of {self.layer.name} has gradients where it is made or used, not in both")
        if self.inputs._version != self._version_given:
            raise CannotRecord(f"the input of {self.layer.name} is changed in place before its output is used")

    def values(self) -> torch.Tensor:
        """Returns what the layer computes."""
        if self._values is None:
            self.require_as_given()
            self._values = self._call(self.inputs)
        return self._values

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in _ABOUT:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **kwargs)
        if function is torch.Tensor.to and isinstance(args[0], cls) and args[0].waits:  # Keras asks for its own type
            inputs = args[0].inputs
            if inputs.to(*args[1:], **kwargs) is inputs:
                return args[0]
        return function(*tree.map_structure(_values_of, args), **tree.map_structure(_values_of, kwargs))

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        names = {tensor.layer.name for tensor in tree.flatten((args, kwargs or {})) if isinstance(tensor, cls)}
        raise CannotRecord(f"the output of {', '.join(sorted(names))} comes to {operation} past PyTorch's functions")


_ABOUT = frozenset(getattr(torch.Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "layout"))


def _values_of(value: Any) -> Any:
    return value.values() if isinstance(value, _PutOff) else value


def _putting_off(layer: Any, alone: Call) -> Call:
    def put_off(inputs: torch.Tensor) -> torch.Tensor:
        return _PutOff(layer, alone, inputs)

    return put_off


def _at_once(first: Any, second: Any, merged: Call, alone: Call) -> Call:
    """Computes both layers where the second is given what the first has put off, in its own type; else the second."""
    own_type = getattr(torch, second.compute_dtype)

    def call(inputs: torch.Tensor, **arguments: Any) -> torch.Tensor:
        if not isinstance(inputs, _PutOff):
            return alone(inputs, **arguments)
        if inputs.layer is not first or not inputs.waits or inputs.dtype != own_type:
            return alone(inputs.values(), **arguments)
        inputs.require_as_given()
        return merged(inputs.inputs, **arguments)

    return call
