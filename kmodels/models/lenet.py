"""LeNet as report A builds it."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kmodels.models.blocks import dense, fan_in_uniform, logits
from kmodels.models.checks import require_dropout, require_input_shape, require_integer, require_integers

__all__ = ["lenet"]

_SMALLEST = 16  # below this the second pooling leaves nothing to flatten


def lenet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    dropout: float = 0.0,
    dense_units: Sequence[int] = (120, 84),
    name: str = "lenet",
) -> keras.Model:
    """Builds LeNet: two 5x5 convolutions and three dense layers, with sigmoids and average pooling.

    To the letter of report A's listing, except that the softmax it ends with belongs to the loss here
    (`Recipe.head`): the output is logits. Weights are Xavier-uniform, biases even in ± 1/√fan_in.

    Args:
        input_shape: `(height, width, channels)`, at least 16 pixels a side; the report uses 32x32.
        num_classes: number of classes, 2 or more.
        dropout: share of the first dense layer's outputs set to zero in training, in [0, 1).
        dense_units: outputs of the two hidden dense layers, each 1 or more; the report's are (120, 84).
        name: name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: an argument is out of range; the message names it.

    Example:
        >>> lenet((32, 32, 3), 10).count_params()
        83126

    Reference:
        Report A, listing "LeNet"; LeCun et al., Gradient-based learning applied to document recognition, 1998.
    """
    require_input_shape(input_shape, smallest=_SMALLEST)
    require_integer("num_classes", num_classes, 2)
    require_dropout(dropout)
    require_integers("dense_units", dense_units, "two integers, 1 or more", fewest=2, most=2)

    inputs = keras.Input(input_shape, name="images")
    x = inputs
    for index, (filters, padding) in enumerate(((6, "same"), (16, "valid")), start=1):
        x = keras.layers.Conv2D(
            filters,
            5,
            padding=padding,
            activation="sigmoid",
            kernel_initializer="glorot_uniform",
            bias_initializer=fan_in_uniform(25 * x.shape[-1]),
            data_format="channels_last",
            name=f"conv{index}",
        )(x)
        x = keras.layers.AveragePooling2D(2, data_format="channels_last", name=f"pool{index}")(x)
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
    x = dense(x, dense_units[0], activation="sigmoid", weights="xavier", name="dense1")
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = dense(x, dense_units[1], activation="sigmoid", weights="xavier", name="dense2")
    return keras.Model(inputs, logits(x, num_classes, weights="xavier"), name=name)
