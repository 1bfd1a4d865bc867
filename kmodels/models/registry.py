"""Every network by name: the reports', the field's references, and report A's average of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kmodels.models.alexnet import alexnet
from kmodels.models.checks import require
from kmodels.models.convnet import convnet
from kmodels.models.densenet import densenet
from kmodels.models.ensemble import Rule, ensemble
from kmodels.models.lenet import lenet
from kmodels.models.plain_net import plain_net
from kmodels.models.preset import Preset
from kmodels.models.resnet_presets import RESNETS
from kmodels.models.vgg import vgg

__all__ = ["MODELS", "average_net", "build"]

_LARGE = (224, 224, 3)
_VGG = "Simonyan & Zisserman, Very deep convolutional networks for large-scale image recognition, 2015"
_DENSENET = "Huang et al., Densely connected convolutional networks, 2017"
_STEM_LARGE = {"stem_kernel": 7, "stem_stride": 2, "stem_pool": True}
_SIMPLE_DENSENET = {
    "blocks": (3, 3, 3),
    "growth": 12,
    "bottleneck": 0,
    "transitions": (128, 64),
    "last_normalize": False,
    "weights": "torch",
}


def average_net(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    members: Sequence[str] = ("alexnet", "resnet18_a"),
    rule: Rule = "mean_logits",
    name: str = "average_net",
) -> keras.Model:
    """Builds an ensemble of presets, to be trained together through the mean of their outputs.

    Args:
        input_shape: `(height, width, channels)`, what every member can take.
        num_classes: number of classes, 2 or more.
        members: names of presets, 2 or more; a name may come twice.
        rule: how outputs are combined, see `kmodels.models.ensemble`.
        name: name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: a member is unknown, or an argument is out of range.

    Example:
        >>> average_net((32, 32, 3), 10, members=("lenet", "plain_net")).count_params() == 83126 + 62006
        True

    Reference:
        Report A, listing "AGGNet" and row A-3.3.
    """
    return ensemble([build(member, input_shape, num_classes) for member in members], rule=rule, name=name)


MODELS: dict[str, Preset] = {
    "lenet": Preset(lenet, "A-1.1, A-1.2, A-3.1, A-3.2"),
    "alexnet": Preset(alexnet, "A-2.1 … A-3.3", input_shape=_LARGE),
    "alexnet_bn": Preset(alexnet, "A-2.2", {"normalize": True}, _LARGE),
    "average_net": Preset(average_net, "A-3.3", input_shape=_LARGE),
    "vgg11": Preset(vgg, f"B, configuration A; {_VGG}", {"configuration": "A", "normalize": False}),
    "vgg11_lrn": Preset(vgg, f"B, configuration A-LRN; {_VGG}", {"configuration": "A-LRN", "normalize": False}),
    "vgg13": Preset(vgg, f"B, configuration B; {_VGG}", {"configuration": "B", "normalize": False}),
    "vgg16_1x1": Preset(vgg, f"B, configuration C; {_VGG}", {"configuration": "C", "normalize": False}),
    "vgg16": Preset(vgg, f"B, configuration D; {_VGG}", {"configuration": "D", "normalize": False}),
    "vgg19": Preset(vgg, f"B, configuration E; {_VGG}", {"configuration": "E", "normalize": False}),
    "vgg11_bn": Preset(vgg, f"B, configuration A; {_VGG}", {"configuration": "A"}),
    "vgg13_bn": Preset(vgg, f"B, configuration B; {_VGG}", {"configuration": "B"}),
    "vgg16_1x1_bn": Preset(vgg, f"B, configuration C; {_VGG}", {"configuration": "C"}),
    "vgg16_bn": Preset(vgg, f"B-1.1, B-2.1 … B-2.4, B-3.1 … B-4.4, B-6; {_VGG}", {"configuration": "D"}),
    "vgg19_bn": Preset(vgg, f"B, configuration E; {_VGG}", {"configuration": "E"}),
    "se_vgg16_conv": Preset(vgg, "B-1.3", {"configuration": "D", "squeeze_excite_after": "conv"}),
    "se_vgg16_stage": Preset(vgg, "B-1.4", {"configuration": "D", "squeeze_excite_after": "stage"}),
    "convnet": Preset(convnet, "C-1 … C-6", input_shape=(28, 28, 1)),
    "plain_net": Preset(plain_net, "D-1"),
    "densenet_d": Preset(densenet, "D-3, D-5", {**_SIMPLE_DENSENET, **_STEM_LARGE}),
    "densenet_d_small_stem": Preset(densenet, "D-5", _SIMPLE_DENSENET),
    "densenet121": Preset(densenet, _DENSENET),
    "densenet_bc_100_12": Preset(densenet, _DENSENET, {"blocks": (16, 16, 16), "growth": 12, "stem_filters": 24}),
    **RESNETS,
    "alexnet_imagenet": Preset(
        alexnet,
        "Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014; torchvision",
        {"filters": (64, 192, 384, 256, 256), "stem_padding": 2, "dropout_side": "before", "weights": "torch"},
        _LARGE,
        1000,
    ),
    **{
        f"vgg{depth}_bn_imagenet": Preset(
            vgg,
            f"{_VGG}; torchvision",
            {"configuration": configuration, "hidden": (4096, 4096), "weights": "he_fan_out"},
            _LARGE,
            1000,
        )
        for depth, configuration in ((11, "A"), (13, "B"), (16, "D"), (19, "E"))
    },
    "densenet121_imagenet": Preset(
        densenet, f"{_DENSENET}; torchvision", {**_STEM_LARGE, "stem_normalize": True}, _LARGE, 1000
    ),
}
"""Every network by the name that a recipe gives it."""


def build(
    name: str,
    input_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    **model_args: Any,
) -> keras.Model:
    """Builds a network by its name in `MODELS`.

    Args:
        name: a key of `MODELS`; it becomes the model's name too.
        input_shape: `(height, width, channels)`; None for the preset's.
        num_classes: number of classes, 2 or more; None for the preset's.
        **model_args: arguments of the preset's builder, in place of the preset's own.

    Returns:
        A functional model from `(batch, height, width, channels)` to float32 logits `(batch, num_classes)`.

    Raises:
        ValueError: the name or an argument is unknown, or an argument is out of range.

    Example:
        >>> build("lenet", (32, 32, 1), 10, dropout=0.2).output_shape
        (None, 10)
        >>> build("resnet20").count_params()
        271098
    """
    require(isinstance(name, str) and name in MODELS, "name", f"one of {', '.join(MODELS)}", name)
    return MODELS[name].build(name, input_shape, num_classes, **model_args)
