"""The order in which kernels and images lie in memory, which no name, shape or file of a model tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import keras
import torch

__all__ = ["MemoryFormat", "arrange_kernels", "arranged_images", "preferred_format"]

MemoryFormat = Literal["channels_last", "contiguous"]

_NARROW = 16


def preferred_format(model: keras.Model, device: torch.device) -> MemoryFormat:
    """Returns the order that PyTorch's convolutions compute a model fastest in.

    Channels last, but for networks so narrow (LeNet's 6 and 16 channels) that a CPU's vectors would not be filled.

    Args:
        model: a built model.
        device: what it is computed on.
    """
    kernels = [variable.shape for variable in model.trainable_variables if len(variable.shape) == 4]
    narrow = all(shape[-1] <= _NARROW for shape in kernels)
    return "contiguous" if kernels and narrow and device.type == "cpu" else "channels_last"


def arrange_kernels(variables: Iterable[keras.Variable], order: MemoryFormat) -> None:
    """Moves convolution kernels `(height, width, inputs, outputs)` to where PyTorch wants them, values unchanged.

    Args:
        variables: weights, and the optimizer's variables of the same shapes; all but rank 4 are left alone.
        order: of the images they will meet.
    """
    there, back = ((3, 0, 1, 2), (1, 2, 3, 0)) if order == "channels_last" else ((3, 2, 0, 1), (2, 3, 1, 0))
    for variable in variables:
        if len(variable.shape) == 4:
            value = variable.value
            # through `data`, so that the parameter stays the object that Keras and any gradient hook know
            value.data = value.data.permute(there).contiguous().permute(back)


def arranged_images(images: torch.Tensor, order: MemoryFormat) -> torch.Tensor:
    """Returns images `(batch, height, width, channels)`, those of another rank unchanged, in the wanted order."""
    if images.ndim != 4:
        return images
    if order == "channels_last":
        return images.contiguous()
    return images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
