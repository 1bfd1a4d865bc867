"""Pieces that networks share: functions from tensors to tensors, every layer named by the caller.

Names matter: initial weights and dropout masks are keyed by the path of a layer, so a name that Keras numbers by itself
(`conv2d_7`) would make a network's start depend on what was built before it.
"""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["dense", "fan_in_uniform", "logits"]


def fan_in_uniform(fan_in: int) -> keras.initializers.Initializer:
    """Returns PyTorch's default bias initializer: even in ± 1/√fan_in.

    Args:
        fan_in: inputs that one output sums over, 1 or more (channels times kernel area for a convolution).

    Example:
        >>> fan_in_uniform(25).maxval
        0.2
    """
    bound = fan_in**-0.5
    return keras.initializers.RandomUniform(-bound, bound)


def dense(x: Any, units: int, *, name: str, activation: str | None = None, dtype: str | None = None) -> Any:
    """Applies a dense layer with Xavier-uniform weights and PyTorch's default biases to `(batch, features)`."""
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer="glorot_uniform",
        bias_initializer=fan_in_uniform(x.shape[-1]),
        dtype=dtype,
        name=name,
    )(x)


def logits(x: Any, num_classes: int, *, name: str = "logits") -> Any:
    """Applies the last dense layer, always in float32, so that a half-precision network loses nothing in the loss."""
    return dense(x, num_classes, name=name, dtype="float32")
