"""Report C's small convolutional network for MNIST."""

from __future__ import annotations

import keras

from kmodels.models.blocks import conv_block, dense, logits, max_pool
from kmodels.models.checks import require_input_shape, require_integer

__all__ = ["convnet"]


def convnet(
    input_shape: tuple[int, int, int], num_classes: int, *, weights: str = "torch", name: str = "convnet"
) -> keras.Model:
    """Builds report C's MyConvNet: two normalised 3x3 convolutions and three dense layers, 5 million parameters.

    To the letter of the listing, except that the softmax it ends with belongs to the loss here (`Recipe.head`).

    Args:
        input_shape: `(height, width, channels)`, at least 4 pixels a side; the report uses 28x28 with one channel.
        num_classes: number of classes, 2 or more.
        weights: distribution of the kernels, see `kmodels.models.blocks.kernel_initializer`; PyTorch's default, as
            the report sets none.
        name: name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: an argument is out of range; the message names it.

    Example:
        >>> convnet((28, 28, 1), 10).count_params()  # 384 of them are running statistics
        5071216

    Reference:
        Report C, listing "MyConvNet".
    """
    require_input_shape(input_shape, smallest=4)
    require_integer("num_classes", num_classes, 2)

    inputs = keras.Input(input_shape, name="images")
    x = inputs
    for index, filters in enumerate((64, 128), start=1):
        x = conv_block(x, filters, 3, name=f"conv{index}", weights=weights, use_bias=True)
        x = max_pool(x, 2, 2, name=f"pool{index}")
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
    x = dense(x, 784, activation="relu", name="dense1", weights=weights)
    x = dense(x, 98, activation="relu", name="dense2", weights=weights)
    return keras.Model(inputs, logits(x, num_classes, weights=weights), name=name)
