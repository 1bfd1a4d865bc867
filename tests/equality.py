"""Is a Keras model the same function as its PyTorch twin, forward and backward?  Support for the tests.

    twin = Net().requires_grad_()                   # transcribed from a listing, attribute names as printed there
    randomize(twin, seed=0)                         # batch-norm scales and running statistics as well
    copy_weights(model, twin)                       # by order, or with {keras layer: torch module}
    check_inference(model, twin, images(2, (32, 32, 3)))
    check_training(model, twin, images(8, (32, 32, 3)))

Distances are relative to the largest entry: of the logits (never less than 1), of each parameter's gradient (never less
than a thousandth of the largest gradient of all: a bias before a batch normalisation has gradient zero, and what is
computed for it is rounding alone), of each statistic.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
import torch
from keras.src.backend.common import dtypes
from torch import nn

from kmodels.initial_weights import layer_paths
from kmodels.models.torch_weights import assign, flattened_shape, state_keys, to_keras

INFERENCE = 1e-5
TRAINING = 1e-4
EXACT = 1e-6
TIMES_FLOAT32 = 3.0  # how many times PyTorch's own float32 rounding is allowed

only_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="gradients are compared on PyTorch")


def torchvision_models() -> Any:
    """Returns `torchvision.models`, or skips the test that asks where torchvision cannot be imported."""
    schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):  # a CUDA build's Python side needs them declared where its library does not load
        if not hasattr(torch.ops.torchvision, operator):
            library.define(f"{operator}{schema}")
    _KEPT.append(library)  # operators vanish with their library
    return pytest.importorskip("torchvision.models", reason="torchvision cannot be imported", exc_type=Exception)


_KEPT: list[Any] = []


def images(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Returns `(count, height, width, channels)` standard normal float32."""
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")


def labels(count: int, num_classes: int = 10) -> np.ndarray:
    return np.arange(count) % num_classes


def randomize(twin: nn.Module, seed: int, scale: tuple[float, float] = (0.5, 1.5)) -> None:
    """Gives batch normalisations scales, shifts and running statistics that are not 1 and 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in twin.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.uniform_(*scale, generator=generator)
                module.bias.normal_(0.0, 0.1, generator=generator)
                module.running_mean.normal_(0.0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)


def in_order(model: keras.Model, twin: nn.Module) -> dict[str, str]:
    """Pairs layers with modules in the order in which both list them; shapes must agree, or `assign` raises."""
    layers = [path for path, layer in layer_paths(model) if layer.weights]
    modules = [name for name, m in twin.named_modules() if next(m.parameters(recurse=False), None) is not None]
    assert len(layers) == len(modules), f"{len(layers)} layers with weights, {len(modules)} modules"
    return dict(zip(layers, modules, strict=True))


def copy_weights(model: keras.Model, twin: nn.Module, modules: Mapping[str, str] | None = None) -> None:
    """Gives the Keras model the twin's weights and running statistics."""
    assign(model, twin.state_dict(), modules or in_order(model, twin))


def relative(actual: np.ndarray, expected: np.ndarray, least: float) -> float:
    """Returns the largest difference over the largest expected entry, which counts as `least` at least."""
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    assert np.isfinite(actual).all()
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), least))


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """Lets models built and run inside compute in float64, all but their logits layer."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    # Keras' type promotion answers float32 to float64, off TensorFlow; batch normalisation asks it
    with mock.patch.dict(dtypes.BIT64_TO_BIT32_DTYPE, {"float64": "float64"}):
        try:
            yield
        finally:
            keras.config.set_dtype_policy(policy)


def check_inference(model: keras.Model, twin: nn.Module, x: np.ndarray, tolerance: float = INFERENCE) -> float:
    """Asserts equal logits in inference mode; returns their distance."""
    with torch.no_grad():
        expected = twin.eval()(_nchw(x)).numpy()
    actual = keras.ops.convert_to_numpy(model(x, training=False))
    assert np.abs(expected).max() > 1e-3, "logits that are all zero prove nothing"
    distance = relative(actual, expected, least=1.0)
    assert distance <= tolerance, f"logits differ by {distance:.1e}"
    return distance


def check_training(
    model: keras.Model,
    twin: nn.Module,
    x: np.ndarray,
    modules: Mapping[str, str] | None = None,
    *,
    exactly: bool = False,
) -> dict[str, tuple[float, float]]:
    """Asserts equal logits, gradients and running statistics of one step in training mode (cross-entropy).

    In float32 a ReLU near 0 or a max pooling over two nearly equal values may choose otherwise in the twin, and
    gradients of the last stages then jump by up to a tenth. `exactly` compares with the twin in float64 at 1e-6, for a
    model built, and this function called, within `float64()`.

    PyTorch's running variance takes the unbiased variance of the batch (n - 1), Keras' the biased one (n): the
    statistics compared are what PyTorch's would be with the biased one.

    Returns:
        For logits, gradients and statistics: distance to the twin, and distance of the twin's own float32 to float64.
    """
    modules = dict(modules or in_order(model, twin))
    rounded = _torch_step(twin, x, torch.float64 if exactly else torch.float32)
    exact = _torch_step(twin, x, torch.float64)
    keras_logits, keras_gradients = _keras_step(model, x)

    keys = state_keys(model, modules)
    flattened = {path: flattened_shape(layer) for path, layer in layer_paths(model)}
    trainable = {key: where for where, key in keys.items() if key in rounded["gradients"]}
    assert set(trainable) == set(rounded["gradients"]), "every parameter of the twin is compared"

    def gradient_distance(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
        largest = max(np.abs(g).max() for g in expected.values())
        assert largest > 0.0
        return max(relative(actual[k], expected[k], least=1e-3 * largest) for k in expected)

    in_keras_order = {
        key: to_keras(g, flattened[trainable[key].rsplit("/", 1)[0]]) for key, g in rounded["gradients"].items()
    }
    actual = {key: keras_gradients[where].reshape(in_keras_order[key].shape) for key, where in trainable.items()}
    statistics = {
        f"{path}/{v.name}": keras.ops.convert_to_numpy(v)
        for path, layer in layer_paths(model)
        for v in layer.non_trainable_variables
        if v.name in ("moving_mean", "moving_variance")
    }
    assert len(statistics) == len(rounded["statistics"])
    pairs = [(value, rounded["statistics"][keys[where]]) for where, value in statistics.items()]
    own = [(rounded["statistics"][k], exact["statistics"][k]) for k in rounded["statistics"]]
    found = {
        "logits": (
            relative(keras_logits, rounded["logits"], least=1.0),
            relative(rounded["logits"], exact["logits"], least=1.0),
        ),
        "gradients": (
            gradient_distance(actual, in_keras_order),
            gradient_distance(rounded["gradients"], exact["gradients"]),
        ),
        "statistics": (
            max((relative(a, e, least=1e-3) for a, e in pairs), default=0.0),
            max((relative(a, e, least=1e-3) for a, e in own), default=0.0),
        ),
    }
    for what, (distance, own_distance) in found.items():
        allowed = EXACT if exactly else max(TIMES_FLOAT32 * own_distance, TRAINING)
        assert distance <= allowed, f"{what} differ by {distance:.1e}, allowed {allowed:.1e}"
    return found


def check_blocks(
    model: keras.Model,
    twin: nn.Module,
    x: np.ndarray,
    blocks: Iterable[tuple[str, str, str]],
    modules: Mapping[str, str],
) -> float:
    """Asserts that each block alone is equal at 1e-4 in training mode: output, input gradient and its parameters'.

    Args:
        model: Keras model with the twin's weights.
        twin: the twin.
        x: images.
        blocks: (name of the layer whose output enters the block, name of the block's last layer, the twin's module).
        modules: Keras layer -> PyTorch module, for the gradients.

    Returns:
        The largest distance of any block.
    """
    inputs: dict[str, torch.Tensor] = {}
    wanted = list(blocks)
    handles = [
        twin.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: inputs.update({name: args[0]}))
        for _, _, name in wanted
    ]
    with torch.no_grad():
        state = copy.deepcopy(twin.state_dict())
        twin.train()(_nchw(x))
        twin.load_state_dict(state)
    for handle in handles:
        handle.remove()
    worst = 0.0
    for first, last, name in wanted:
        worst = max(worst, _block_distance(model, twin.get_submodule(name), inputs[name], first, last, name, modules))
    assert worst <= TRAINING, f"a block differs by {worst:.1e}"
    return worst


def _block_distance(
    model: keras.Model,
    block: nn.Module,
    entering: torch.Tensor,
    first: str,
    last: str,
    name: str,
    modules: Mapping[str, str],
) -> float:
    part = keras.Model(model.get_layer(first).output, model.get_layer(last).output)
    block = copy.deepcopy(block).train()
    x = entering.detach().clone().requires_grad_()
    expected = block(x)
    weighting = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    (expected * weighting).sum().backward()

    keras_x = entering.detach().permute(0, 2, 3, 1).contiguous().requires_grad_()
    actual = part(keras_x, training=True)
    variables = [(path, v) for path, layer in layer_paths(part) for v in layer.trainable_variables]
    gradients = torch.autograd.grad(
        (actual * weighting.permute(0, 2, 3, 1)).sum(), [keras_x, *(v.value for _, v in variables)]
    )
    parameters = dict(block.named_parameters())
    keys = state_keys(part, modules)
    pairs = [(_numpy(actual), _numpy(expected.permute(0, 2, 3, 1)))]
    pairs.append((_numpy(gradients[0]), _numpy(x.grad.permute(0, 2, 3, 1))))
    for (path, variable), gradient in zip(variables, gradients[1:], strict=True):
        key = keys[f"{path}/{variable.name}"].removeprefix(f"{name}.")
        converted = to_keras(_numpy(parameters[key].grad))
        pairs.append((_numpy(gradient).reshape(converted.shape), converted))
    assert len(variables) == len(parameters)
    return max(relative(a, e, least=1e-3) for a, e in pairs)


def _torch_step(twin: nn.Module, x: np.ndarray, dtype: torch.dtype) -> dict[str, Any]:
    """One forward and backward pass of a copy of the twin; running variances as with the biased batch variance."""
    twin = copy.deepcopy(twin).to(dtype).train()
    before, counts = copy.deepcopy(twin.state_dict()), {}
    for name, module in twin.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.register_forward_hook(
                lambda m, args, _, name=name: counts.update({name: args[0].numel() // m.num_features})
            )
    logits = twin(_nchw(x).to(dtype))
    nn.functional.cross_entropy(logits, torch.from_numpy(labels(len(x), logits.shape[1]))).backward()
    statistics = {}
    for name, n in counts.items():
        module = twin.get_submodule(name)
        statistics[f"{name}.running_mean"] = _numpy(module.running_mean)
        kept = (1.0 - module.momentum) * before[f"{name}.running_var"]
        statistics[f"{name}.running_var"] = _numpy(kept + (module.running_var - kept) * (n - 1) / n)
    gradients = {name: _numpy(p.grad) for name, p in twin.named_parameters()}
    return {"logits": _numpy(logits), "gradients": gradients, "statistics": statistics}


def _keras_step(model: keras.Model, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    logits = model(x, training=True)
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels(len(x), logits.shape[1])))
    variables = {f"{path}/{v.name}": v for path, layer in layer_paths(model) for v in layer.trainable_variables}
    gradients = torch.autograd.grad(loss, [v.value for v in variables.values()])
    return _numpy(logits), {where: _numpy(g) for where, g in zip(variables, gradients, strict=True)}


def _nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
