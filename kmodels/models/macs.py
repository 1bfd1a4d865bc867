"""What a network costs to run: multiply-accumulate operations, counted from the built model."""

from __future__ import annotations

import math

import keras

from kmodels.models.initial_weights import layer_paths

__all__ = ["count_macs", "layer_macs"]


def count_macs(model: keras.Model) -> int:
    """Counts the multiplications with following addition that a network needs for one image.

    Convolutions and dense layers are counted, biases, normalisation, activations and poolings are not: what papers
    print as "FLOPs" (He et al.: multiply-adds), and half of what is called FLOPs elsewhere.

    Args:
        model: a built functional model whose layers are each used once.

    Returns:
        Multiply-accumulate operations an image.

    Raises:
        ValueError: a layer of a kind that multiplies by a kernel otherwise than these two.

    Example:
        >>> from kmodels.models.lenet import lenet
        >>> count_macs(lenet((32, 32, 1), 10))
        579240
    """
    return sum(layer_macs(path, layer) for path, layer in layer_paths(model))


def layer_macs(path: str, layer: keras.layers.Layer) -> int:
    """Returns the multiply-accumulate operations of one layer an image.

    Args:
        path: what the layer is called in the error.
        layer: a layer of a built model, used once.

    Raises:
        ValueError: a layer of a kind that multiplies by a kernel otherwise than Dense and Conv2D.
    """
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    if isinstance(layer, keras.layers.Dense):
        positions = 1
    elif isinstance(layer, keras.layers.Conv2D):
        # in a grouped convolution the kernel holds a group's inputs only, as many as each output sums over
        positions = math.prod(layer.output.shape[1:3])
    else:
        raise ValueError(f"model: expected Dense and Conv2D layers. Received: {type(layer).__name__} at {path}")
    return int(positions * math.prod(kernel.shape))
