"""One training step of a Keras model and of its PyTorch twin, in the same names and order of axes, for `equality`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import torch
from torch import nn

from kmodels.models.initial_weights import layer_paths
from kmodels.models.torch_weights import flattened_shape, state_keys, to_keras


def labels(count: int, num_classes: int = 10) -> np.ndarray:
    return np.arange(count) % num_classes


def torch_step(
    twin: nn.Module, x: np.ndarray, dtype: torch.dtype, model: keras.Model, modules: Mapping[str, str]
) -> dict[str, Any]:
    """One forward and backward pass of a copy of the twin; running variances as with the biased batch variance."""
    twin = copy.deepcopy(twin).to(dtype).train()
    before, counts = copy.deepcopy(twin.state_dict()), {}
    for name, module in twin.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.register_forward_hook(
                lambda m, args, _, name=name: counts.update({name: args[0].numel() // m.num_features})
            )
    logits = twin(nchw(x).to(dtype))
    nn.functional.cross_entropy(logits, torch.from_numpy(labels(len(x), logits.shape[1]))).backward()
    statistics = {}
    for name, n in counts.items():
        module = twin.get_submodule(name)
        statistics[f"{name}.running_mean"] = as_numpy(module.running_mean)
        kept = (1.0 - module.momentum) * before[f"{name}.running_var"]
        statistics[f"{name}.running_var"] = as_numpy(kept + (module.running_var - kept) * (n - 1) / n)
    gradients = in_keras_order({name: as_numpy(p.grad) for name, p in twin.named_parameters()}, model, modules)
    return {"logits": as_numpy(logits), "gradients": gradients, "statistics": statistics}


def keras_step(model: keras.Model, x: np.ndarray, modules: Mapping[str, str]) -> dict[str, Any]:
    """One forward and backward pass of a Keras model, with the twin's names."""
    logits = model(x, training=True)
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels(len(x), logits.shape[1])))
    keys = state_keys(model, modules)
    statistics = {
        keys[f"{path}/{v.name}"]: as_numpy(v.value)
        for path, layer in layer_paths(model)
        for v in layer.non_trainable_variables
        if v.name in ("moving_mean", "moving_variance")
    }
    return {"logits": as_numpy(logits), "gradients": gradients_by_name(model, loss, modules), "statistics": statistics}


def gradients_by_name(
    model: keras.Model, loss: torch.Tensor, modules: Mapping[str, str], x: torch.Tensor | None = None
) -> dict[str, np.ndarray]:
    """Returns the gradient of each of a Keras model's parameters by the twin's name, and of `x` as `input`."""
    keys = state_keys(model, modules)
    variables = [(path, v) for path, layer in layer_paths(model) for v in layer.trainable_variables]
    values = torch.autograd.grad(loss, [v.value for _, v in variables] + ([] if x is None else [x]))
    found = {} if x is None else {"input": as_numpy(values[-1])}
    for (path, variable), value in zip(variables, values, strict=False):
        key = keys[f"{path}/{variable.name}"]
        found[key] = as_numpy(value)
    return found


def in_keras_order(
    gradients: Mapping[str, np.ndarray], model: keras.Model, modules: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the twin's gradients with the axes of the Keras model's."""
    keys, found = state_keys(model, modules), {}
    for path, layer in layer_paths(model):
        for v in layer.trainable_variables:
            key = keys[f"{path}/{v.name}"]
            # a reshape only adds the two axes of a linear layer that is a 1x1 convolution in Keras
            found[key] = to_keras(gradients[key], flattened_shape(layer)).reshape(tuple(v.shape))
    assert set(found) == set(gradients), "every parameter of the twin is compared"
    return found


def nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
