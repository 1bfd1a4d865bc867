"""VGG in its paper's six configurations, with the options of report B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras

from kmodels.models.blocks import conv_block, dense, logits, max_pool, relu, squeeze_excite
from kmodels.models.checks import require, require_dropout, require_input_shape, require_integer, require_integers
from kmodels.models.layers import LocalResponseNormalization

__all__ = ["CONFIGURATIONS", "vgg"]

CONFIGURATIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "A-LRN": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
"""Kernel size of every convolution, by stage, of the VGG paper's configurations (11, 11, 13, 16, 16 and 19 layers)."""

_WIDTHS = (64, 128, 256, 512, 512)


def vgg(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    configuration: str = "D",
    normalize: bool = True,
    squeeze_excite_after: Literal["conv", "stage"] | None = None,
    reduction: int = 16,
    hidden: Sequence[int] = (),
    dropout: float = 0.5,
    weights: str = "torch",
    name: str = "vgg",
) -> keras.Model:
    """Builds VGG: five stages of convolutions (3x3, in C also 1x1) with a 2x2 max pooling behind each.

    Report B prints no dense head and no word on batch normalisation: one dense layer and batch normalisation are
    assumed. The paper's and torchvision's head is `hidden=(4096, 4096)`, at 224x224; at other sizes torchvision
    averages the last maps to 7x7 and this does not.

    Args:
        input_shape: `(height, width, channels)`, at least 32 pixels a side.
        num_classes: number of classes, 2 or more.
        configuration: `A`, `A-LRN`, `B`, `C`, `D` (VGG-16) or `E`; A-LRN has local response normalisation after its
            first convolution, with the constants that the VGG paper takes over (n = 5, α = 1e-4, β = 0.75, k = 2).
        normalize: batch normalisation after every convolution, before the ReLU.
        squeeze_excite_after: no squeeze-and-excite (None), after the ReLU of every `conv` (report B's variant 1) or
            of every `stage`, before its pooling (variant 2).
        reduction: the squeeze-and-excite blocks have channels // reduction hidden units; 1 to 64.
        hidden: units of the hidden dense layers, each with ReLU and dropout behind it; empty for none.
        dropout: share of each hidden dense layer's outputs set to zero in training, in [0, 1).
        weights: distribution of the kernels, see `kmodels.models.blocks.kernel_initializer`.
        name: name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: an argument is out of range; the message names it.

    Example:
        >>> vgg((32, 32, 3), 10, configuration="A").count_params()
        9236618

    Reference:
        Report B, rows B-1.1, B-1.3 and B-1.4; Simonyan & Zisserman, Very deep convolutional networks for large-scale
        image recognition, 2015, table 1.
    """
    require_input_shape(input_shape, smallest=32)
    require_integer("num_classes", num_classes, 2)
    require(configuration in CONFIGURATIONS, "configuration", f"one of {', '.join(CONFIGURATIONS)}", configuration)
    places = ("conv", "stage", None)
    require(squeeze_excite_after in places, "squeeze_excite_after", "'conv', 'stage' or None", squeeze_excite_after)
    require_integer("reduction", reduction, 1, _WIDTHS[0], ", the fewest channels")
    require_integers("hidden", hidden, "numbers of units, 1 or more")
    require_dropout(dropout)

    inputs = keras.Input(input_shape, name="images")
    x = inputs
    for stage, (width, kernels) in enumerate(zip(_WIDTHS, CONFIGURATIONS[configuration], strict=True), start=1):
        for index, kernel_size in enumerate(kernels, start=1):
            place = f"stage{stage}_conv{index}"
            x = conv_block(x, width, kernel_size, name=place, weights=weights, use_bias=True, normalize=normalize)
            if configuration == "A-LRN" and stage == 1:
                x = LocalResponseNormalization(name=f"{place}_lrn")(x)
            if squeeze_excite_after == "conv":
                x = squeeze_excite(x, reduction, name=f"{place}_se", weights=weights)
        if squeeze_excite_after == "stage":
            x = squeeze_excite(x, reduction, name=f"stage{stage}_se", weights=weights)
        x = max_pool(x, 2, 2, name=f"stage{stage}_pool")
    x = _head(x, hidden, dropout, weights)
    return keras.Model(inputs, logits(x, num_classes, weights=weights), name=name)


def _head(x: Any, hidden: Sequence[int], dropout: float, weights: str) -> Any:
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
    for index, units in enumerate(hidden, start=1):
        x = dense(x, units, name=f"dense{index}", weights=weights)
        x = relu(x, name=f"dense{index}_relu")
        x = keras.layers.Dropout(dropout, name=f"dropout{index}")(x)
    return x
