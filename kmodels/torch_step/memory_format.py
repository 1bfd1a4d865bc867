"""The order in which kernels lie in memory, which no name, shape or file of a model tells."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras
import torch

__all__ = ["arrange_kernels", "lies_channels_first"]

_WIDE = 256  # channels; in narrower layers the copies of the images cost as much as is gained
_FEW_TAPS = 0.75  # 5x5 pixels under a 3x3 kernel, and fewer


def arrange_kernels(model: keras.Model, slots: Iterable[tuple[keras.Variable, keras.Variable]]) -> None:
    """Moves convolution kernels `(height, width, inputs, outputs)` to where PyTorch wants them, values unchanged.

    Images lie channels last, as Keras has them; a kernel must then lie as (outputs, height, width, inputs), or it is
    copied there in every step. On a CPU the wide layers that see few pixels are an exception: PyTorch's kernel for
    channels last multiplies the zeros around the images too, the one for channels first does not, which at 2x2 pixels
    is half of the work.

    Args:
        model: whose kernels.
        slots: variables of the optimizer, each after the weight that it belongs to.
    """
    layers = (layer for layer in model._flatten_layers(include_self=False) if type(layer) is keras.layers.Conv2D)
    first = {id(layer.kernel) for layer in layers if _is_faster_channels_first(layer)}
    for variable in model.trainable_variables:
        _lay(variable, first=id(variable) in first)
    for variable, slot in slots:
        _lay(slot, first=id(variable) in first)


def lies_channels_first(weight: torch.Tensor) -> bool:
    """Whether a kernel `(outputs, inputs, height, width)` lies so in memory, and not channels last.

    Those of several replicas, seen inside `torch.vmap`, do not say: how they lie is for the whole stack to choose.
    """
    if torch._C._functorch.is_batchedtensor(weight):
        return False
    return weight.is_contiguous() and not weight.is_contiguous(memory_format=torch.channels_last)


def _lay(variable: keras.Variable, *, first: bool) -> None:
    if len(variable.shape) == 4:
        value = variable.value
        # through `data`, so that the parameter stays the object that Keras and any gradient hook know
        order, back = ((3, 2, 0, 1), (2, 3, 1, 0)) if first else ((3, 0, 1, 2), (1, 2, 3, 0))
        value.data = value.data.permute(*order).contiguous().permute(*back)


def _is_faster_channels_first(layer: Any) -> bool:
    if layer.padding != "same" or layer.strides != (1, 1) or layer.dilation_rate != (1, 1) or layer.groups != 1:
        return False
    if layer.compute_dtype != "float32" or layer.kernel.value.device.type != "cpu" or not layer._inbound_nodes:
        return False
    *_, height, width, outputs = layer.output.shape
    if None in (height, width) or min(outputs, layer.kernel.shape[2]) < _WIDE:
        return False
    return math.prod(map(_share_on_the_image, layer.kernel_size, (height, width))) <= _FEW_TAPS


def _share_on_the_image(taps: int, pixels: int) -> float:
    """The share of a kernel's places along one side, over all outputs, that lie on the image and not beside it."""
    before = (taps - 1) // 2
    inside = sum(min(pixels, at - before + taps) - max(0, at - before) for at in range(pixels))
    return inside / (taps * pixels)
