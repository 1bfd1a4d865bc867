"""torchvision's weights in Keras models: whoever has an ImageNet checkpoint can bring it over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kmodels.models.checks import require
from kmodels.models.registry import build
from kmodels.models.torch_weights import assign

__all__ = ["TORCHVISION", "from_torchvision", "torchvision_modules"]

TORCHVISION = {
    name: f"{name}_imagenet"
    for name in (
        *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
        *(f"vgg{depth}_bn" for depth in (11, 13, 16, 19)),
        "densenet121",
        "alexnet",
    )
}
"""Preset for each of torchvision's names that is known here."""

_LAST = {"resnet": "fc", "vgg": "classifier.6", "densenet": "classifier", "alexnet": "classifier.6"}


def from_torchvision(
    name: str, state_dict: Mapping[str, Any], *, input_shape: tuple[int, int, int] = (224, 224, 3)
) -> keras.Model:
    """Builds the Keras model of a torchvision network, with its weights.

    PyTorch is not imported: a state dict of NumPy arrays does as well as one of tensors. Images must be prepared as
    torchvision's weights expect them (for ImageNet: scaled to [0, 1], then normalised by mean and standard deviation).

    Args:
        name: torchvision's name, one of `TORCHVISION`.
        state_dict: entry of the network's `state_dict()` -> array, `num_batches_tracked` or not.
        input_shape: `(height, width, channels)`; VGG and AlexNet are torchvision's at 224x224 only.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits, with as many classes as the state
        dict has.

    Raises:
        ValueError: the name is unknown, or an entry is missing, left over or of another shape.

    Example:
        >>> from_torchvision("resnet18", {})
        Traceback (most recent call last):
        ValueError: state_dict: expected an entry 'fc.weight'. Received: state_dict=[]

    Reference:
        He et al., 2016; Simonyan & Zisserman, 2015; Huang et al., 2017; Krizhevsky, 2014, as torchvision builds them.
    """
    require(name in TORCHVISION, "name", f"one of {', '.join(TORCHVISION)}", name)
    require(isinstance(state_dict, Mapping), "state_dict", "entry -> array", type(state_dict).__name__)
    # checkpoints written before DenseNet's modules were renamed have conv.1 for conv1
    entries = {re.sub(r"\.(norm|conv)\.([12])\.", r".\1\2.", key): value for key, value in state_dict.items()}
    last = next(module for family, module in _LAST.items() if name.startswith(family)) + ".weight"
    require(last in entries, "state_dict", f"an entry {last!r}", sorted(entries))
    model = build(TORCHVISION[name], input_shape, int(np.shape(entries[last])[0]))
    assign(model, entries, torchvision_modules(name, model))
    return model


def torchvision_modules(name: str, model: keras.Model) -> dict[str, str]:
    """Returns torchvision's module for each layer with weights.

    Args:
        name: torchvision's name of the network.
        model: the network, built of the preset in `TORCHVISION`.

    Example:
        >>> torchvision_modules("resnet18", build("resnet18_imagenet", (32, 32, 3)))["stage2_block1_shortcut_bn"]
        'layer2.0.downsample.1'
    """
    layers = [layer.name for layer in model.layers if layer.weights]
    if name.startswith("resnet"):
        return {layer: _resnet(layer) for layer in layers}
    if name.startswith("densenet"):
        return {layer: _densenet(layer) for layer in layers}
    return _numbered(model)


def _resnet(layer: str) -> str:
    fixed = {"stem": "conv1", "stem_bn": "bn1", "logits": "fc"}
    if layer in fixed:
        return fixed[layer]
    stage, block, part = _parts(r"stage(\d)_block(\d+)_(\w+)", layer)
    if part.startswith("shortcut"):
        module = "downsample.1" if part.endswith("_bn") else "downsample.0"
    else:
        module = part.replace("conv", "bn").removesuffix("_bn") if part.endswith("_bn") else part
    return f"layer{stage}.{int(block) - 1}.{module}"


def _densenet(layer: str) -> str:
    fixed = {"stem": "conv0", "stem_bn": "norm0", "last_bn": "norm5"}
    if layer == "logits":
        return "classifier"
    if layer in fixed:
        return f"features.{fixed[layer]}"
    if layer.startswith("transition"):
        number, part = _parts(r"transition(\d)_(\w+)", layer)
        return f"features.transition{number}.{'norm' if part == 'bn' else part}"
    block, index, part = _parts(r"block(\d)_layer(\d+)_(\w+)", layer)
    module = {"bn0": "norm1", "conv0": "conv1", "bn": "norm2", "conv": "conv2"}[part]
    return f"features.denseblock{block}.denselayer{index}.{module}"


def _numbered(model: keras.Model) -> dict[str, str]:
    """Numbers the layers as torchvision's two sequences hold them: features, then classifier."""
    modules, sequence, index = {}, "features", 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Flatten):
            sequence, index = "classifier", 0
        elif not isinstance(layer, keras.layers.InputLayer | keras.layers.ZeroPadding2D):
            modules[layer.name] = f"{sequence}.{index}"
            index += 1
    return {layer.name: modules[layer.name] for layer in model.layers if layer.weights}


def _parts(pattern: str, layer: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, layer)
    assert match is not None, layer
    return match.groups()
