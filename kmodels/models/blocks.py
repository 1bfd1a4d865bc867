"""Pieces that networks share: functions from tensors to tensors, every layer named by the caller.

Names matter: initial weights and dropout masks are keyed by the path of a layer, so a name that Keras numbers by itself
(`conv2d_7`) would make a network's start depend on what was built before it. Only stock Keras layers are used, so a
saved network loads without this package. Paddings, poolings and normalisation mean what they mean in PyTorch, in which
all five reports are written.
"""

from __future__ import annotations

from typing import Any

import keras

from kmodels.models.checks import require, require_integer

__all__ = [
    "WEIGHTS",
    "batch_norm",
    "conv",
    "conv_block",
    "dense",
    "fan_in_uniform",
    "kernel_initializer",
    "logits",
    "max_pool",
    "relu",
    "squeeze_excite",
]

WEIGHTS = ("torch", "xavier", "he_fan_in", "he_fan_out")
"""Distributions that a network's kernels can be drawn from; see `kernel_initializer`."""

_LAYOUT = "channels_last"


def fan_in_uniform(fan_in: int) -> keras.initializers.Initializer:
    """Returns PyTorch's default bias initializer: even in ± 1/√fan_in.

    Args:
        fan_in: inputs that one output sums over, 1 or more (channels times kernel area for a convolution).

    Example:
        >>> fan_in_uniform(25).maxval
        0.2
    """
    bound = fan_in**-0.5
    return keras.initializers.RandomUniform(-bound, bound)


def kernel_initializer(weights: str) -> keras.initializers.Initializer:
    """Returns the initializer of kernels by name.

    Args:
        weights: `torch` (PyTorch's default, even in ± 1/√fan_in, which it calls Kaiming-uniform with a = √5), `xavier`
            (Glorot-uniform), `he_fan_in` or `he_fan_out` (normal of variance 2/fan; torchvision uses `he_fan_out`).

    Raises:
        ValueError: another name.

    Example:
        >>> kernel_initializer("he_fan_out").mode
        'fan_out'
    """
    require(weights in WEIGHTS, "weights", f"one of {', '.join(WEIGHTS)}", weights)
    if weights == "torch":
        return keras.initializers.VarianceScaling(1 / 3, mode="fan_in", distribution="uniform")
    if weights == "xavier":
        return keras.initializers.GlorotUniform()
    return keras.initializers.VarianceScaling(2.0, mode=weights[3:], distribution="untruncated_normal")


def dense(
    x: Any,
    units: int,
    *,
    name: str,
    weights: str,
    activation: str | None = None,
    use_bias: bool = True,
    dtype: str | None = None,
) -> Any:
    """Applies a dense layer to `(batch, features)`; biases as PyTorch draws them.

    Args:
        x: tensor `(batch, features)`.
        units: outputs, 1 or more.
        name: name of the layer.
        weights: see `kernel_initializer`.
        activation: name of a Keras activation, or None.
        use_bias: add a bias.
        dtype: data type of the layer, or None for the policy in force.
    """
    return keras.layers.Dense(
        units,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer(weights),
        bias_initializer=fan_in_uniform(x.shape[-1]),
        dtype=dtype,
        name=name,
    )(x)


def logits(x: Any, num_classes: int, *, weights: str, name: str = "logits") -> Any:
    """Applies the last dense layer, always in float32, so that a half-precision network loses nothing in the loss."""
    return dense(x, num_classes, name=name, weights=weights, dtype="float32")


def conv(
    x: Any,
    filters: int,
    kernel_size: int,
    *,
    name: str,
    weights: str,
    stride: int = 1,
    padding: int | None = None,
    use_bias: bool = False,
    activation: str | None = None,
) -> Any:
    """Applies a convolution with PyTorch's padding: the same number of zeros on all four sides, whatever the stride.

    Keras' own "same" puts the odd zero at the end when the stride is 2; here the zeros become a layer `<name>_pad`.

    Args:
        x: tensor `(batch, height, width, channels)`.
        filters: channels of the output.
        kernel_size: height and width of the kernel in pixels.
        name: name of the convolution.
        weights: see `kernel_initializer`.
        stride: step in pixels, both ways.
        padding: pixels of zeros on each side; None for half of the kernel, which keeps the size at stride 1.
        use_bias: add a bias, drawn as PyTorch draws it.
        activation: name of a Keras activation, or None.
    """
    half = (kernel_size - 1) // 2
    padding = half if padding is None else padding
    keeps_size = stride == 1 and kernel_size % 2 == 1 and padding == half
    if padding > 0 and not keeps_size:
        x = keras.layers.ZeroPadding2D(padding, data_format=_LAYOUT, name=f"{name}_pad")(x)
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding="same" if keeps_size else "valid",
        use_bias=use_bias,
        activation=activation,
        kernel_initializer=kernel_initializer(weights),
        bias_initializer=fan_in_uniform(kernel_size**2 * x.shape[-1]),
        data_format=_LAYOUT,
        name=name,
    )(x)


def batch_norm(x: Any, *, name: str) -> Any:
    """Applies batch normalisation over the channels with PyTorch's settings (ε 1e-5, a tenth of each new statistic).

    One difference stays: PyTorch's running variance takes the unbiased batch variance (divided by n - 1), Keras' the
    biased one (divided by n).
    """
    return keras.layers.BatchNormalization(axis=-1, momentum=0.9, epsilon=1e-5, name=name)(x)


def relu(x: Any, *, name: str) -> Any:
    """Applies ReLU as a layer of its own."""
    return keras.layers.ReLU(name=name)(x)


def conv_block(
    x: Any,
    filters: int,
    kernel_size: int,
    *,
    name: str,
    weights: str,
    stride: int = 1,
    padding: int | None = None,
    use_bias: bool = False,
    normalize: bool = True,
    activate: bool = True,
) -> Any:
    """Applies convolution, batch normalisation and ReLU: layers `<name>`, `<name>_bn` and `<name>_relu`.

    Args:
        x: tensor `(batch, height, width, channels)`.
        filters: channels of the output.
        kernel_size: height and width of the kernel in pixels.
        name: name of the convolution.
        weights: see `kernel_initializer`.
        stride: step in pixels, both ways.
        padding: see `conv`.
        use_bias: give the convolution a bias.
        normalize: with batch normalisation.
        activate: with ReLU.
    """
    x = conv(x, filters, kernel_size, name=name, weights=weights, stride=stride, padding=padding, use_bias=use_bias)
    if normalize:
        x = batch_norm(x, name=f"{name}_bn")
    return relu(x, name=f"{name}_relu") if activate else x


def squeeze_excite(x: Any, reduction: int, *, name: str, weights: str) -> Any:
    """Weighs each channel by a gate in (0, 1) computed from the means of all channels.

    The two dense layers (with biases) are 1x1 convolutions on the 1x1 map of means: the same sums. The gate comes
    out of the layer `<name>_expand`.

    Args:
        x: tensor `(batch, height, width, channels)`.
        reduction: the hidden layer has channels // reduction units; from 1 to the number of channels.
        name: first part of the layers' names.
        weights: see `kernel_initializer`.

    Raises:
        ValueError: the reduction is larger than the number of channels, or below 1.

    Reference:
        Hu et al., Squeeze-and-Excitation Networks, 2018.
    """
    channels = x.shape[-1]
    require_integer("reduction", reduction, 1, channels, ", the number of channels")
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, data_format=_LAYOUT, name=f"{name}_squeeze")(x)
    units = channels // reduction
    gate = conv(gate, units, 1, name=f"{name}_reduce", weights=weights, use_bias=True, activation="relu")
    gate = conv(gate, channels, 1, name=f"{name}_expand", weights=weights, use_bias=True, activation="sigmoid")
    return keras.layers.Multiply(name=f"{name}_scale")([x, gate])


def max_pool(
    x: Any, size: int, stride: int, *, name: str, padding: int = 0, ceil_mode: bool = False, signed: bool = False
) -> Any:
    """Applies max pooling with PyTorch's padding and rounding.

    Args:
        x: tensor `(batch, height, width, channels)`.
        size: height and width of the window in pixels.
        stride: step in pixels, both ways, at most `size`.
        name: name of the pooling layer.
        padding: pixels on each side that never win, at most half of `size`.
        ceil_mode: let a last window reach over the lower and right edge; not together with `padding`.
        signed: the input may be negative. After a ReLU it may not, and zeros can stand for the pixels that never win.

    Raises:
        ValueError: `padding` with `ceil_mode`, or a signed input with a padding other than half of an odd `size`.
    """
    require(not (padding and ceil_mode), "ceil_mode", "False with a padding", ceil_mode)
    if ceil_mode:
        return _ceil_max_pool(x, size, stride, name)
    if padding and signed:
        require(size == 2 * padding + 1, "padding", f"half of size={size} for a signed input", padding)
        # "same" at stride 1 pads evenly with -inf; then every stride-th of the maxima is kept
        x = keras.layers.MaxPooling2D(size, 1, padding="same", data_format=_LAYOUT, name=f"{name}_all")(x)
        size = 1
    elif padding:
        x = keras.layers.ZeroPadding2D(padding, data_format=_LAYOUT, name=f"{name}_pad")(x)
    return keras.layers.MaxPooling2D(size, stride, padding="valid", data_format=_LAYOUT, name=name)(x)


def _ceil_max_pool(x: Any, size: int, stride: int, name: str) -> Any:
    """Rounds the number of windows up; rows and columns apart where only one of them needs it."""
    modes = [_ceil_mode_padding(length, size, stride) for length in x.shape[1:3]]
    if modes[0] == modes[1]:
        return keras.layers.MaxPooling2D(size, stride, padding=modes[0], data_format=_LAYOUT, name=name)(x)
    rows = keras.layers.MaxPooling2D(
        (size, 1), (stride, 1), padding=modes[0], data_format=_LAYOUT, name=f"{name}_rows"
    )(x)
    return keras.layers.MaxPooling2D((1, size), (1, stride), padding=modes[1], data_format=_LAYOUT, name=name)(rows)


def _ceil_mode_padding(length: int, size: int, stride: int) -> str:
    """Returns the Keras padding that places windows as PyTorch's ceil mode does."""
    over = -(length - size) % stride  # pixels by which the last window reaches over the edge
    same = max((-(-length // stride) - 1) * stride + size - length, 0)
    if over == 0:
        return "valid"
    require(same == over == 1, "ceil_mode", f"a size where one pixel is missing at stride {stride}", length)
    return "same"
