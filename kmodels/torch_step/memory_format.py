"""The order in which kernels lie in memory, which no name, shape or file of a model tells."""

from __future__ import annotations

from collections.abc import Iterable

import keras

__all__ = ["arrange_kernels"]


def arrange_kernels(variables: Iterable[keras.Variable]) -> None:
    """Moves convolution kernels `(height, width, inputs, outputs)` to where PyTorch wants them, values unchanged.

    Images lie channels last, as Keras has them; a kernel must then lie as (outputs, height, width, inputs), or it is
    copied there in every step. For a network as narrow as LeNet channels first is as fast, not faster.

    Args:
        variables: weights, and the optimizer's variables of the same shapes; all but rank 4 are left alone.
    """
    for variable in variables:
        if len(variable.shape) == 4:
            value = variable.value
            # through `data`, so that the parameter stays the object that Keras and any gradient hook know
            value.data = value.data.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
