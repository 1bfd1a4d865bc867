"""DenseNet: report D's simple one, DenseNet-121 and the DenseNet paper's CIFAR networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kmodels.models.blocks import batch_norm, conv, logits, max_pool, relu
from kmodels.models.checks import require, require_input_shape, require_integer, require_integers

__all__ = ["densenet"]

_LAYOUT = "channels_last"


def densenet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    blocks: Sequence[int] = (6, 12, 24, 16),
    growth: int = 32,
    bottleneck: int = 4,
    transitions: Sequence[int] | float = 0.5,
    stem_filters: int = 64,
    stem_kernel: int = 3,
    stem_stride: int = 1,
    stem_normalize: bool = False,
    stem_pool: bool = False,
    last_normalize: bool = True,
    weights: str = "he_fan_in",
    name: str = "densenet",
) -> keras.Model:
    """Builds DenseNet: in a dense block every layer sees the outputs of all before it and adds `growth` channels.

    The defaults are DenseNet-121 with a stem for small images. With `stem_kernel=7`, `stem_stride=2`,
    `stem_normalize=True`, `stem_pool=True` it is torchvision's; DenseNet-BC-100-12 is `blocks=(16, 16, 16)`,
    `growth=12`, `stem_filters=24`. Report D's SimpleDenseNet is `blocks=(3, 3, 3)`, `growth=12`, `bottleneck=0`,
    `transitions=(128, 64)`, `stem_kernel=7`, `stem_stride=2`, `stem_pool=True`, `last_normalize=False`,
    `weights="torch"`; with the stem's defaults, as in `densenet_d_small_stem`, its first block sees whole images.

    Args:
        input_shape: `(height, width, channels)`, large enough that each pooling and transition leaves a pixel.
        num_classes: number of classes, 2 or more.
        blocks: layers of each dense block.
        growth: channels that each layer adds, 1 or more.
        bottleneck: width, in multiples of `growth`, of the 1x1 convolution before each 3x3; 0 for none.
        transitions: channels after each transition between two blocks, or the share of channels kept, in (0, 1].
        stem_filters: channels of the first convolution.
        stem_kernel: kernel size of the first convolution, odd.
        stem_stride: stride of the first convolution.
        stem_normalize: batch normalisation and ReLU after the first convolution.
        stem_pool: 3x3 max pooling of stride 2 after that.
        last_normalize: batch normalisation and ReLU before the global average pooling.
        weights: distribution of the kernels, see `kmodels.models.blocks.kernel_initializer`.
        name: name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: an argument is out of range; the message names it.

    Example:
        >>> densenet((32, 32, 3), 10, blocks=(2, 2), growth=12, stem_filters=24).output_shape
        (None, 10)

    Reference:
        Report D, printed modules of "SimpleDenseNet" and row D-3; Huang et al., Densely connected convolutional
        networks, 2017.
    """
    require_integer("num_classes", num_classes, 2)
    require_integers("blocks", blocks, "layers of each dense block, 1 or more", fewest=1)
    require_integer("growth", growth, 1)
    require_integer("bottleneck", bottleneck, 0)
    _require_transitions(transitions, len(blocks) - 1)
    require_integer("stem_filters", stem_filters, 1)
    require_integer("stem_kernel", stem_kernel, 1)
    require(stem_kernel % 2 == 1, "stem_kernel", "an odd number", stem_kernel)
    require_integer("stem_stride", stem_stride, 1)
    # A strided convolution and the stem's pooling, both padded, keep a pixel of anything; a transition needs two.
    shrink = stem_stride * (2 if stem_pool else 1)
    require_input_shape(input_shape, smallest=shrink * (2 ** (len(blocks) - 1) - 1) + 1)

    inputs = keras.Input(input_shape, name="images")
    x = conv(inputs, stem_filters, stem_kernel, name="stem", weights=weights, stride=stem_stride)
    if stem_normalize:
        x = relu(batch_norm(x, name="stem_bn"), name="stem_relu")
    if stem_pool:
        x = max_pool(x, 3, 2, name="stem_pool", padding=1, signed=not stem_normalize)
    for number, layers in enumerate(blocks, start=1):
        if number > 1:
            width = transitions[number - 2] if isinstance(transitions, Sequence) else int(x.shape[-1] * transitions)
            x = _transition(x, width, name=f"transition{number - 1}", weights=weights)
        for layer in range(1, layers + 1):
            x = _dense_layer(x, growth, bottleneck, name=f"block{number}_layer{layer}", weights=weights)
    if last_normalize:
        x = relu(batch_norm(x, name="last_bn"), name="last_relu")
    x = keras.layers.GlobalAveragePooling2D(data_format=_LAYOUT, name="pool")(x)
    return keras.Model(inputs, logits(x, num_classes, weights=weights), name=name)


def _require_transitions(transitions: Sequence[int] | float, count: int) -> None:
    if isinstance(transitions, Sequence):
        expected = f"{count} numbers of channels, one between each two blocks"
        right = len(transitions) == count and all(width >= 1 for width in transitions)
        require(right, "transitions", expected, transitions)
    else:
        require(0.0 < transitions <= 1.0, "transitions", "numbers of channels, or a share in (0, 1]", transitions)


def _dense_layer(x: Any, growth: int, bottleneck: int, *, name: str, weights: str) -> Any:
    """Normalises before each convolution, and appends the new channels behind the old ones."""
    new = x
    if bottleneck:
        new = relu(batch_norm(new, name=f"{name}_bn0"), name=f"{name}_relu0")
        new = conv(new, bottleneck * growth, 1, name=f"{name}_conv0", weights=weights)
    new = relu(batch_norm(new, name=f"{name}_bn"), name=f"{name}_relu")
    new = conv(new, growth, 3, name=f"{name}_conv", weights=weights)
    return keras.layers.Concatenate(axis=-1, name=f"{name}_concat")([x, new])


def _transition(x: Any, width: int, *, name: str, weights: str) -> Any:
    x = relu(batch_norm(x, name=f"{name}_bn"), name=f"{name}_relu")
    x = conv(x, width, 1, name=f"{name}_conv", weights=weights)
    return keras.layers.AveragePooling2D(2, data_format=_LAYOUT, name=f"{name}_pool")(x)
