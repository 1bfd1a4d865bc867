"""Report D's plain network: LeNet's shape with ReLU and max pooling."""

from __future__ import annotations

import keras

from kmodels.models.blocks import conv, dense, logits, max_pool
from kmodels.models.checks import require_input_shape, require_integer

__all__ = ["plain_net"]


def plain_net(
    input_shape: tuple[int, int, int], num_classes: int, *, weights: str = "torch", name: str = "plain_net"
) -> keras.Model:
    """Builds report D's "Net": two 5x5 convolutions without padding and three dense layers.

    Args:
        input_shape: `(height, width, channels)`, at least 16 pixels a side; the report uses 32x32 with three channels.
        num_classes: number of classes, 2 or more.
        weights: distribution of the kernels, see `kmodels.models.blocks.kernel_initializer`; PyTorch's default, as
            the report sets none.
        name: name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: an argument is out of range; the message names it.

    Example:
        >>> plain_net((32, 32, 3), 10).count_params()
        62006

    Reference:
        Report D, printed modules of "Net" and row D-1.
    """
    require_input_shape(input_shape, smallest=16)
    require_integer("num_classes", num_classes, 2)

    inputs = keras.Input(input_shape, name="images")
    x = inputs
    for index, filters in enumerate((6, 16), start=1):
        x = conv(x, filters, 5, name=f"conv{index}", weights=weights, padding=0, use_bias=True, activation="relu")
        x = max_pool(x, 2, 2, name=f"pool{index}")
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
    x = dense(x, 120, activation="relu", name="dense1", weights=weights)
    x = dense(x, 84, activation="relu", name="dense2", weights=weights)
    return keras.Model(inputs, logits(x, num_classes, weights=weights), name=name)
