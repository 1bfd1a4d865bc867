"""AlexNet as report A builds it, and as torchvision does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras

from kmodels.models.blocks import batch_norm, conv_block, dense, logits, max_pool, relu
from kmodels.models.checks import require, require_dropout, require_input_shape, require_integer, require_integers

__all__ = ["alexnet"]

_KERNELS = (11, 5, 3, 3, 3)
_POOLED = (1, 2, 5)  # the convolutions with a max pooling behind them


def alexnet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    normalize: bool = False,
    dropout: float = 0.5,
    dropout_side: Literal["before", "after"] = "after",
    filters: Sequence[int] = (96, 256, 384, 384, 256),
    stem_padding: int = 1,
    hidden: int = 4096,
    weights: str = "xavier",
    name: str = "alexnet",
) -> keras.Model:
    """Builds AlexNet: five convolutions, three max poolings and three dense layers, without the original's two halves.

    The defaults are report A's; the padding of its first convolution is cut off in the print, and 1 is assumed (0 gives
    maps of the same size). torchvision's AlexNet is `filters=(64, 192, 384, 256, 256)`, `stem_padding=2`,
    `dropout_side="before"`, at 224x224; at other sizes torchvision averages the last maps to 6x6 and this does not.

    Args:
        input_shape: `(height, width, channels)`, at least 67 - 2 `stem_padding` pixels a side; the report pads its
            images to 224x224.
        num_classes: number of classes, 2 or more.
        normalize: batch normalisation after every convolution and both hidden dense layers, before the ReLU.
        dropout: share of activations set to zero in training around the hidden dense layers, in [0, 1).
        dropout_side: `after` each hidden dense layer (report A) or `before` it (torchvision).
        filters: channels of the five convolutions.
        stem_padding: pixels of zeros around the image, 0 or more.
        hidden: units of each of the two hidden dense layers, 1 or more.
        weights: distribution of the kernels, see `kmodels.models.blocks.kernel_initializer`.
        name: name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: an argument is out of range; the message names it.

    Example:
        >>> alexnet((64, 64, 1), 10, stem_padding=2, hidden=8).output_shape
        (None, 10)

    Reference:
        Report A, listing "AlexNet"; Krizhevsky et al., ImageNet classification with deep convolutional neural networks,
        2012; with these widths Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.
    """
    require_integer("stem_padding", stem_padding, 0)
    require_input_shape(input_shape, smallest=max(1, 67 - 2 * stem_padding))  # the last pooling then sees 3x3
    require_integer("num_classes", num_classes, 2)
    require_dropout(dropout)
    require(dropout_side in ("before", "after"), "dropout_side", "'before' or 'after'", dropout_side)
    require_integers("filters", filters, "five numbers of channels, 1 or more")
    require(len(filters) == 5, "filters", "five numbers of channels, 1 or more", filters)
    require_integer("hidden", hidden, 1)

    inputs = keras.Input(input_shape, name="images")
    x = inputs
    for index, (width, kernel_size) in enumerate(zip(filters, _KERNELS, strict=True), start=1):
        x = conv_block(
            x,
            width,
            kernel_size,
            name=f"conv{index}",
            weights=weights,
            stride=4 if index == 1 else 1,
            padding=stem_padding if index == 1 else None,
            use_bias=True,
            normalize=normalize,
        )
        if index in _POOLED:
            x = max_pool(x, 3, 2, name=f"pool{index}")
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
    for index in (1, 2):
        if dropout_side == "before":
            x = keras.layers.Dropout(dropout, name=f"dropout{index}")(x)
        x = dense(x, hidden, name=f"dense{index}", weights=weights)
        if normalize:
            x = batch_norm(x, name=f"dense{index}_bn")
        x = relu(x, name=f"dense{index}_relu")
        if dropout_side == "after":
            x = keras.layers.Dropout(dropout, name=f"dropout{index}")(x)
    return keras.Model(inputs, logits(x, num_classes, weights=weights), name=name)
