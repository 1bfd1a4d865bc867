"""A network in a few lines: its layers by the size of what they put out, with parameters and operations."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kmodels.models.descriptions import DESCRIPTIONS
from kmodels.models.initial_weights import layer_paths
from kmodels.models.macs import count_macs, layer_macs
from kmodels.models.registry import MODELS
from kmodels.models.size import without_weights

__all__ = ["outline", "stages"]


def outline(name: str) -> dict[str, Any]:
    """Returns what is to be said of a preset, as JSON-ready values: in words, in numbers, layer by layer.

    Args:
        name: a key of `kmodels.models.MODELS`.

    Example:
        >>> found = outline("lenet")
        >>> found["trainable"], found["macs"], [stage["output"] for stage in found["stages"]]
        (83126, 886440, ['32x32', '16x16', '12x12', '6x6', 'vector'])
    """
    preset = MODELS[name]
    return {
        "name": name,
        "builder": preset.builder.__name__,
        "about": DESCRIPTIONS[name],
        "source": preset.source,
        "input_shape": list(preset.input_shape),
        "num_classes": preset.num_classes,
        "arguments": _plain(preset.model_args),
        "defaults": _plain(_defaults(preset.builder)),
        **without_weights(_counts, name),
    }


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in arguments.items()}


def _defaults(builder: Callable[..., keras.Model]) -> dict[str, Any]:
    parameters = inspect.signature(builder).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name != "name"}


def _counts(model: keras.Model) -> dict[str, Any]:
    return {
        "trainable": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "statistics": sum(math.prod(weight.shape) for weight in model.non_trainable_weights),
        "macs": count_macs(model),
        "stages": stages(model),
    }


def stages(model: keras.Model) -> list[dict[str, Any]]:
    """Returns a model's layers by the height and width of their outputs, in the order in which images pass.

    Args:
        model: a built functional model of images.

    Returns:
        One entry an output size: `output` (such as `32x32`, or `vector`), `channels` (least and most), `layers` (how
        many of each kind), `parameters` (running statistics included) and `macs`.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, layer in layer_paths(model):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        shape = tuple(layer.output.shape[1:])
        size = "x".join(map(str, shape[:2])) if len(shape) == 3 and shape[:2] != (1, 1) else "vector"
        stage = found.setdefault(
            size, {"output": size, "channels": [shape[-1], shape[-1]], "layers": Counter(), "parameters": 0, "macs": 0}
        )
        stage["channels"] = [min(stage["channels"][0], shape[-1]), max(stage["channels"][1], shape[-1])]
        stage["layers"][type(layer).__name__] += 1
        stage["parameters"] += sum(math.prod(weight.shape) for weight in layer.weights)
        stage["macs"] += layer_macs(path, layer)
    return [{**stage, "layers": dict(stage["layers"])} for stage in found.values()]
