"""Residual blocks: two paths that meet in a sum, every layer named after the block."""

from __future__ import annotations

from typing import Any

import keras

from kmodels.models.blocks import batch_norm, conv, conv_block, relu, squeeze_excite
from kmodels.models.checks import require

__all__ = ["BLOCKS", "SHORTCUTS", "STRIDE_ON", "basic", "bottleneck", "preactivation", "shortcut_path"]

BLOCKS = ("basic", "bottleneck", "preactivation")
SHORTCUTS = ("projection", "pad", "none")
STRIDE_ON = ("1x1", "3x3")


def basic(
    x: Any, width: int, stride: int, *, name: str, shortcut: str, se_reduction: int | None, weights: str, stride_on: str
) -> Any:
    """Applies two 3x3 convolutions beside a shortcut, then ReLU; `width` channels come out.

    Args:
        x: tensor `(batch, height, width, channels)`.
        width: channels of the convolutions.
        stride: step of the first convolution and of the shortcut.
        name: first part of the layers' names.
        shortcut: see `shortcut_path`.
        se_reduction: squeeze-and-excite with this reduction before the sum, or None.
        weights: see `kmodels.models.blocks.kernel_initializer`.
        stride_on: without meaning here.
    """
    y = conv_block(x, width, 3, stride=stride, name=f"{name}_conv1", weights=weights)
    y = conv_block(y, width, 3, name=f"{name}_conv2", weights=weights, activate=False)
    return _sum_and_relu(x, y, width, stride, name, shortcut, se_reduction, weights)


def bottleneck(
    x: Any, width: int, stride: int, *, name: str, shortcut: str, se_reduction: int | None, weights: str, stride_on: str
) -> Any:
    """Applies 1x1, 3x3 and 1x1 convolutions beside a shortcut, then ReLU; 4 · `width` channels come out.

    Args:
        x: tensor `(batch, height, width, channels)`.
        width: channels of the first two convolutions.
        stride: step of one of them (`stride_on`) and of the shortcut.
        name: first part of the layers' names.
        shortcut: see `shortcut_path`.
        se_reduction: squeeze-and-excite with this reduction before the sum, or None.
        weights: see `kmodels.models.blocks.kernel_initializer`.
        stride_on: `1x1`, the first convolution (He et al., report A), or `3x3` (torchvision).
    """
    first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
    y = conv_block(x, width, 1, stride=first, name=f"{name}_conv1", weights=weights)
    y = conv_block(y, width, 3, stride=second, name=f"{name}_conv2", weights=weights)
    y = conv_block(y, 4 * width, 1, name=f"{name}_conv3", weights=weights, activate=False)
    return _sum_and_relu(x, y, 4 * width, stride, name, shortcut, se_reduction, weights)


def preactivation(
    x: Any, width: int, stride: int, *, name: str, shortcut: str, se_reduction: int | None, weights: str, stride_on: str
) -> Any:
    """Applies two 3x3 convolutions, each after its own batch normalisation and ReLU; the sum has no ReLU.

    A projection starts from the first ReLU, without batch normalisation, as in wide residual networks.

    Args:
        x: tensor `(batch, height, width, channels)`.
        width: channels of the convolutions.
        stride: step of the first convolution and of the shortcut.
        name: first part of the layers' names.
        shortcut: see `shortcut_path`.
        se_reduction: squeeze-and-excite with this reduction before the sum, or None.
        weights: see `kmodels.models.blocks.kernel_initializer`.
        stride_on: without meaning here.
    """
    y = active = relu(batch_norm(x, name=f"{name}_bn1"), name=f"{name}_relu1")
    y = conv_block(y, width, 3, stride=stride, name=f"{name}_conv1", weights=weights)
    y = conv(y, width, 3, name=f"{name}_conv2", weights=weights)
    if se_reduction is not None:
        y = squeeze_excite(y, se_reduction, name=f"{name}_se", weights=weights)
    if shortcut == "none":
        return y
    if shortcut == "projection" and (stride != 1 or x.shape[-1] != width):
        x = conv(active, width, 1, stride=stride, name=f"{name}_shortcut", weights=weights)
    else:
        x = shortcut_path(x, width, stride, name=f"{name}_shortcut", shortcut=shortcut, weights=weights)
    return keras.layers.Add(name=f"{name}_add")([x, y])


def shortcut_path(x: Any, channels: int, stride: int, *, name: str, shortcut: str, weights: str) -> Any:
    """Brings a block's input to the shape of its output.

    Args:
        x: tensor `(batch, height, width, channels)`.
        channels: channels of the block's output.
        stride: the block's step.
        name: first part of the layers' names.
        shortcut: `projection` (1x1 convolution and batch normalisation where the shape changes: He et al.'s option B)
            or `pad` (every stride-th pixel, new channels zero: option A, without weights).
        weights: see `kmodels.models.blocks.kernel_initializer`.

    Raises:
        ValueError: `pad` where the new number of channels is not a multiple of the old one.
    """
    before = x.shape[-1]
    if stride == 1 and before == channels:
        return x
    if shortcut == "projection":
        return conv_block(x, channels, 1, stride=stride, name=name, weights=weights, activate=False)
    require(channels % before == 0, "widths", f"multiples of {before} for shortcut='pad'", channels)
    if stride != 1:
        x = keras.layers.AveragePooling2D(1, stride, data_format="channels_last", name=f"{name}_pool")(x)
    if channels == before:
        return x
    # zero times the input, so that the zeros have the batch's size under every backend and data layout
    zeros = keras.layers.Rescaling(0.0, name=f"{name}_zeros")(x)
    return keras.layers.Concatenate(axis=-1, name=name)([x] + [zeros] * (channels // before - 1))


def _sum_and_relu(
    x: Any, y: Any, channels: int, stride: int, name: str, shortcut: str, se_reduction: int | None, weights: str
) -> Any:
    if se_reduction is not None:
        y = squeeze_excite(y, se_reduction, name=f"{name}_se", weights=weights)
    if shortcut != "none":
        x = shortcut_path(x, channels, stride, name=f"{name}_shortcut", shortcut=shortcut, weights=weights)
        y = keras.layers.Add(name=f"{name}_add")([x, y])
    return relu(y, name=f"{name}_relu")
