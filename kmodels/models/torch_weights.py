"""PyTorch's weights in Keras' layout: NumPy arrays in, PyTorch itself not needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kmodels.models.checks import require
from kmodels.models.initial_weights import layer_paths

__all__ = ["assign", "flattened_shape", "state_keys", "to_keras"]

_SUFFIX = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def state_keys(model: keras.Model, modules: Mapping[str, str]) -> dict[str, str]:
    """Returns which entry of a PyTorch state dict belongs to each weight of a model.

    Args:
        model: a built model.
        modules: name of the PyTorch module for each layer (path within nested models) that has weights.

    Returns:
        `layer path/weight name` -> key of the state dict, in the model's order.

    Raises:
        ValueError: a layer with weights has no module.
    """
    keys = {}
    for path, layer in layer_paths(model):
        for variable in layer.weights:
            require(path in modules, "modules", f"a PyTorch module for layer {path!r}", sorted(modules))
            keys[f"{path}/{variable.name}"] = f"{modules[path]}.{_SUFFIX[variable.name]}"
    return keys


def assign(model: keras.Model, state_dict: Mapping[str, Any], modules: Mapping[str, str]) -> None:
    """Gives a model the weights of a PyTorch state dict.

    Args:
        model: a built model.
        state_dict: PyTorch key -> array, or anything that `numpy.asarray` takes.
        modules: see `state_keys`.

    Raises:
        ValueError: an entry is missing, left over, or of another shape than the model's weight; nothing is assigned.
    """
    keys = state_keys(model, modules)
    missing = sorted(set(keys.values()) - set(state_dict))
    require(not missing, "state_dict", f"an entry {missing[0] if missing else ''!r}", sorted(state_dict))
    unused = sorted(k for k in set(state_dict) - set(keys.values()) if not k.endswith("num_batches_tracked"))
    require(not unused, "state_dict", f"only entries that belong to {model.name!r}", unused)
    pairs = []
    for path, layer in layer_paths(model):
        for variable in layer.weights:
            key = keys[f"{path}/{variable.name}"]
            value = to_keras(_as_numpy(state_dict[key]), flattened_shape(layer))
            if value.ndim == 2 and len(variable.shape) == 4:
                value = value[None, None]  # a dense layer on a 1x1 map is a 1x1 convolution here
            shape = tuple(variable.shape)
            require(value.shape == shape, "state_dict", f"{key} for a weight of shape {shape}", value.shape)
            pairs.append((variable, value))
    for variable, value in pairs:
        variable.assign(value)


def to_keras(value: np.ndarray, flattened: tuple[int, int, int] | None = None) -> np.ndarray:
    """Returns a PyTorch weight (or its gradient) in Keras' order of axes.

    Args:
        value: kernel of a convolution `(outputs, inputs, height, width)` or of a linear layer `(outputs, inputs)`, or
            a vector, which stays as it is.
        flattened: `(height, width, channels)` of the map whose flattened pixels a linear layer takes, None if it takes
            none: PyTorch flattens channels first.

    Example:
        >>> to_keras(np.zeros((64, 3, 7, 5))).shape
        (7, 5, 3, 64)
    """
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    if value.ndim != 2:
        return value
    if flattened is not None:
        height, width, channels = flattened
        maps = value.reshape(len(value), channels, height, width)
        value = maps.transpose(0, 2, 3, 1).reshape(len(value), -1)
    return value.T


def flattened_shape(layer: keras.layers.Layer) -> tuple[int, int, int] | None:
    """Returns `(height, width, channels)` of the map that a dense layer takes flattened, or None."""
    if not isinstance(layer, keras.layers.Dense):
        return None
    before = layer.input._keras_history.operation
    while isinstance(before, keras.layers.Dropout):
        before = before.input._keras_history.operation
    if isinstance(before, keras.layers.Flatten):
        height, width, channels = before.input.shape[1:]
        return height, width, channels
    return None


def _as_numpy(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # a tensor that still belongs to a graph or a device
        value = value.detach().cpu()
    return np.asarray(value)
