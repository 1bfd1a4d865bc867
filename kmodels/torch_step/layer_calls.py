"""Layers computed by PyTorch's own kernels, in the layout that Keras' channels-last tensors already have.

A Keras tensor `(batch, height, width, channels)` seen as `(batch, channels, height, width)` is what PyTorch calls
channels last: a view, no copy. Keras' torch backend makes contiguous copies around every convolution and pooling, and
builds batch normalisation of elementary operations; here the same layers hand views to the kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import torch
from keras import tree
from torch.nn import functional

from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.keyed_dropout import keep_mask
from kmodels.torch_step.memory_format import lies_channels_first
from kmodels.torch_step.replaced_methods import replaced_methods

__all__ = ["Call", "call_of", "convolution", "max_pooling"]

Call = Callable[..., torch.Tensor]


def call_of(layer: keras.layers.Layer) -> Call | None:
    """Returns the function that computes a layer, or None where the layer or its setting is not known.

    What is not in the layer's own type (whole numbers, booleans, floats that it does not cast) is computed by Keras:
    PyTorch's kernels take other types together than Keras' operations do, or none.
    """
    make = None if replaced_methods(layer) else _KINDS.get(type(layer))
    fast = None if make is None else make(layer)
    if fast is None:
        return None
    own_type = getattr(torch, layer.compute_dtype)

    def call(inputs: Any, **arguments: Any) -> torch.Tensor:
        alike = all(tensor.dtype == own_type for tensor in tree.flatten(inputs))
        return fast(inputs, **arguments) if alike else type(layer).call(layer, inputs, **arguments)

    return call


def _images(inputs: torch.Tensor) -> torch.Tensor:
    return inputs.permute(0, 3, 1, 2)


def _back(outputs: torch.Tensor) -> torch.Tensor:
    return outputs.permute(0, 2, 3, 1)


def convolution(layer: Any, zeros: tuple[int, int] = (0, 0)) -> Call | None:
    """Returns the function that computes a convolution, or None.

    Args:
        layer: a `Conv2D`.
        zeros: pixels that a layer before it would have put above and below, left and right; for "valid" only.
    """
    if layer.data_format != "channels_last" or layer.quantization_mode or layer.lora_enabled:
        return None
    padding = _padding(layer.padding, layer.kernel_size, layer.strides, layer.dilation_rate)
    if padding is None:
        return None
    padding = tuple(own + before for own, before in zip(padding, zeros, strict=True))

    def call(inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        kernel = layer.kernel.value if isinstance(layer.kernel, keras.Variable) else layer.kernel
        bias = layer.bias.value if layer.use_bias else None
        images, weight = _images(inputs), kernel.permute(3, 2, 0, 1)
        first = lies_channels_first(weight)
        outputs = functional.conv2d(
            images.contiguous() if first else images,
            weight,
            bias,
            stride=layer.strides,
            padding=padding,
            dilation=layer.dilation_rate,
            groups=layer.groups,
        )
        if first:  # as the layers around it
            outputs = outputs.contiguous(memory_format=torch.channels_last)
        if layer.activation in _ELEMENTWISE:
            return _back(layer.activation(outputs))
        outputs = _back(outputs)
        return outputs if layer.activation is None else layer.activation(outputs)

    return call


def _padding(name: str, window: tuple[int, ...], strides: tuple[int, ...], dilation: Any) -> tuple[int, ...] | None:
    """Returns the zeros on each side, or None where they are not the same on both: PyTorch pads only evenly."""
    if name == "valid":
        return (0,) * len(window)
    spread = [rate * (size - 1) for size, rate in zip(window, dilation, strict=True)]
    if name == "same" and all(step == 1 for step in strides) and all(extra % 2 == 0 for extra in spread):
        return tuple(extra // 2 for extra in spread)
    return None


def _pooling(layer: Any, kernel: Callable[..., torch.Tensor]) -> Call | None:
    if layer.data_format != "channels_last" or layer.padding != "valid":
        return None

    def call(inputs: torch.Tensor) -> torch.Tensor:
        return _back(kernel(_images(inputs), layer.pool_size, layer.strides))

    return call


def max_pooling(size: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int]) -> Call:
    """Returns max pooling over windows that reach over the edge, where nothing is."""

    def call(inputs: torch.Tensor) -> torch.Tensor:
        return _back(functional.max_pool2d(_images(inputs), size, strides, padding))

    return call


def _dense(layer: Any) -> Call | None:
    if layer.quantization_mode or layer.lora_enabled:
        return None

    def call(inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        kernel = layer.kernel.value if isinstance(layer.kernel, keras.Variable) else layer.kernel
        bias = layer.bias.value if layer.use_bias else None
        if bias is None or inputs.ndim != 2:
            outputs = inputs @ kernel if bias is None else inputs @ kernel + bias
        else:  # not `linear`, whose gradient would lie in memory the other way round than the kernel
            outputs = torch.addmm(bias, inputs, kernel)
        return outputs if layer.activation is None else layer.activation(outputs)

    return call


def _batch_normalization(layer: Any) -> Call | None:
    if getattr(layer, "renorm", False):
        return None

    def call(inputs: torch.Tensor, training: bool | None = None, mask: Any = None) -> torch.Tensor:
        if training and layer.trainable:
            _require_forward(layer)
        if mask is not None or layer.axis not in (-1, inputs.ndim - 1) or inputs.ndim not in (2, 4):
            return type(layer).call(layer, inputs, training=training, mask=mask)
        mean, variance = layer.moving_mean.value, layer.moving_variance.value
        gamma = layer.gamma.value if layer.scale else torch.ones_like(mean)
        beta = layer.beta.value if layer.center else torch.zeros_like(mean)
        kept = inputs if inputs.dtype == torch.bfloat16 else inputs.to(mean.dtype)
        images = _images(kept) if inputs.ndim == 4 else kept
        if training and layer.trainable:
            outputs, now, inverse = torch.ops.aten.native_batch_norm(
                images, gamma, beta, None, None, True, 0.0, layer.epsilon
            )
            with torch.no_grad():
                spread = inverse.pow(-2).sub(layer.epsilon)  # the biased variance, which Keras keeps
                layer.moving_mean.assign(mean * layer.momentum + now * (1.0 - layer.momentum))
                layer.moving_variance.assign(variance * layer.momentum + spread * (1.0 - layer.momentum))
        else:
            outputs = functional.batch_norm(images, mean, variance, gamma, beta, False, 0.0, layer.epsilon)
        outputs = outputs.to(inputs.dtype)
        return _back(outputs) if inputs.ndim == 4 else outputs

    return call


def _dropout(layer: Any) -> Call | None:
    if layer.rate in (0, 1) or layer.noise_shape is not None:
        return None

    def call(inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        if not training:
            return inputs
        _require_forward(layer)
        state = layer.seed_generator.state
        mask = keep_mask(state.value, inputs, layer.rate)
        state.assign(state.value + torch.tensor([0, 1], dtype=state.value.dtype, device=state.value.device))
        return torch.where(mask, inputs / (1.0 - layer.rate), 0.0)

    return call


def _require_forward(layer: Any) -> None:
    """Raises CannotRecord for a layer that would count a call once more in the backward pass.

    What is computed again there (`keras.remat`, `torch.utils.checkpoint`) gets the random numbers of the forward pass
    by PyTorch's generators, which our masks do not come from, and what a layer assigns there is not in our hands.
    """
    if torch._C._current_graph_task_id() != -1:
        raise CannotRecord(f"{layer.name} is computed again in the backward pass")


def _elementwise(layer: Any) -> Call | None:
    """Keras' own call on the images as PyTorch sees them.

    It computes the same, but a compiler that meets sums and activations in one order of axes and convolutions in
    another chooses memory orders in which neither is fast.
    """
    if isinstance(layer, keras.layers.Activation) and layer.activation not in _ELEMENTWISE:
        return None

    def call(inputs: Any) -> torch.Tensor:
        if any(tensor.ndim != 4 for tensor in tree.flatten(inputs)):
            return type(layer).call(layer, inputs)
        return _back(type(layer).call(layer, tree.map_structure(_images, inputs)))

    return call


def _concatenate(layer: Any) -> Call | None:
    def call(inputs: list[torch.Tensor]) -> torch.Tensor:
        if layer.axis not in (-1, 3) or any(tensor.ndim != 4 for tensor in inputs):
            return type(layer).call(layer, inputs)
        return _back(torch.cat([_images(tensor) for tensor in inputs], dim=1))

    return call


def _zero_padding(layer: Any) -> Call | None:
    if layer.data_format != "channels_last":
        return None
    (top, bottom), (left, right) = layer.padding

    def call(inputs: torch.Tensor) -> torch.Tensor:
        return _back(functional.pad(_images(inputs), (left, right, top, bottom)))

    return call


def _global_average(layer: Any) -> Call | None:
    if layer.data_format != "channels_last":
        return None

    def call(inputs: torch.Tensor) -> torch.Tensor:
        outputs = _images(inputs).mean((2, 3), keepdim=layer.keepdims)
        return _back(outputs) if layer.keepdims else outputs

    return call


_ELEMENTWISE = [keras.activations.get(name) for name in ("relu", "sigmoid", "tanh", "silu", "gelu", "elu", "linear")]

_KINDS: dict[type, Callable[[Any], Call | None]] = {
    # exact types: a subclass may compute something else
    keras.layers.Conv2D: convolution,
    keras.layers.Dense: _dense,
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.MaxPooling2D: partial(_pooling, kernel=functional.max_pool2d),
    keras.layers.AveragePooling2D: partial(_pooling, kernel=functional.avg_pool2d),
    keras.layers.Dropout: _dropout,
    keras.layers.ReLU: _elementwise,
    keras.layers.Activation: _elementwise,
    keras.layers.Add: _elementwise,
    keras.layers.Multiply: _elementwise,
    keras.layers.Concatenate: _concatenate,
    keras.layers.ZeroPadding2D: _zero_padding,
    keras.layers.GlobalAveragePooling2D: _global_average,
}
