"""Which of a model's layers are computed by PyTorch's kernels, alone or two at once.

While a step is recorded, the functions of `layer_calls` take the place of the `call` of the layers they know, so that
everything else that Keras does around a call (casts, masks, losses) stays Keras' own. Two layers that Keras needs where
PyTorch has one kernel (zeros, then a convolution; pooling with an edge, then every second pixel) become one: the first
hands its input on, and the second does the work of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import torch

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
        merged = None if second is None else _merged(first, second)
        if merged is not None:
            found[first], found[second] = _handed_on, merged
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
    if not all(_casts(layer, first.input.dtype) for layer in (first, second)):
        return None
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


def _casts(layer: Any, dtype: str) -> bool:
    """Whether what a layer is given comes to it in its own type."""
    return bool(dtype == layer.compute_dtype or (layer.autocast and keras.backend.is_float_dtype(dtype)))


def _handed_on(inputs: torch.Tensor) -> torch.Tensor:
    return inputs
