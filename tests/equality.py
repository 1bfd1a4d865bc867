"""Is a Keras model the same function as its PyTorch twin, forward and backward?  Support for the tests.

    twin = Net().requires_grad_()                   # transcribed from a listing, attribute names as printed there
    randomize(twin, seed=0)                         # batch-norm scales and running statistics as well
    copy_weights(model, twin)                       # by order, or with {keras layer: torch module}
    check_inference(model, twin, images(2, (32, 32, 3)))
    check_training(model, twin, images(8, (32, 32, 3)))

Distances are relative to the largest entry: of the logits (never less than 1), and in float64 of each parameter's
gradient (never less than a thousandth of the largest gradient of all: a bias before a batch normalisation has gradient
zero, and what is computed for it is rounding alone). In float32 all parameters' gradients are one long vector: the
length of the difference over its length.
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

from kmodels.models.initial_weights import layer_paths
from kmodels.models.torch_weights import assign
from tests.twin_steps import as_numpy, gradients_by_name, in_keras_order, keras_step, nchw, torch_step

INFERENCE = 1e-5
TRAINING = 1e-4
EXACT = 1e-8
BATCHES = 5
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
    """Lets models built and run inside compute in float64."""
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
        expected = twin.eval()(nchw(x)).numpy()
    actual = model.predict_on_batch(x)  # compiles the network as a whole on JAX, op by op it takes four times as long
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

    Twice: in float64, where every parameter's gradient must agree to 1e-8, so that the two are the same function; and
    in float32, where the whole gradient may differ by as much as PyTorch's own float32 does from its float64, times
    three. In float32 chance decides where a ReLU's input is within rounding of zero, or two pixels of a max pooling are
    within rounding of each other: where that moves the Keras model further than the twin, another batch is drawn, up to
    `BATCHES` of them.

    PyTorch's running variance takes the unbiased variance of the batch (n - 1), Keras' the biased one (n): the
    statistics compared are what PyTorch's would be with the biased one.

    Args:
        model: Keras model with the twin's weights; its running statistics move.
        twin: the twin.
        x: images; further batches are of the same shape.
        modules: Keras layer -> PyTorch module; None for by order.
        exactly: in float64 only.

    Returns:
        For logits, gradients and statistics in float32: distance to the twin, and of the twin's float32 to its float64.
    """
    modules = dict(modules or in_order(model, twin))
    before = model.get_weights()
    _check_float64(model, torch_step(twin, x, torch.float64, model, modules), x, modules)
    if exactly:
        return {}
    for attempt in range(BATCHES):
        if attempt > 0:
            x = images(len(x), x.shape[1:], seed=1000 + attempt)
        model.set_weights(before)
        found = _float32_distances(model, twin, x, modules)
        over = {k: v for k, v in found.items() if v[0] > max(TIMES_FLOAT32 * v[1], TRAINING)}
        if not over:
            return found
    raise AssertionError(f"(to the twin, of the twin to its float64): {over}, over the allowed {TIMES_FLOAT32} times")


def in_float64(model: keras.Model) -> keras.Model:
    """Returns a copy of a model that computes in float64 throughout (within `float64()`), with the same weights."""
    clone = keras.models.clone_model(
        model,
        clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float64"}),
        recursive=True,
    )
    clone.set_weights(model.get_weights())
    return clone


def _check_float64(model: keras.Model, exact: dict[str, Any], x: np.ndarray, modules: Mapping[str, str]) -> None:
    with float64():
        step = keras_step(in_float64(model), x, modules)
    assert relative(step["logits"], exact["logits"], least=1.0) <= EXACT
    for what in ("gradients", "statistics"):
        assert set(step[what]) == set(exact[what]), f"every one of the twin's {what} is compared"
        largest = max((np.abs(value).max() for value in exact[what].values()), default=0.0)
        for key, expected in exact[what].items():
            distance = relative(step[what][key], expected, least=1e-3 * largest)
            assert distance <= EXACT, f"{what} of {key} differ by {distance:.1e} in float64"


def _float32_distances(
    model: keras.Model, twin: nn.Module, x: np.ndarray, modules: Mapping[str, str]
) -> dict[str, tuple[float, float]]:
    rounded, exact = (torch_step(twin, x, dtype, model, modules) for dtype in (torch.float32, torch.float64))
    step = keras_step(model, x, modules)
    found = {
        "logits": (
            relative(step["logits"], rounded["logits"], least=1.0),
            relative(rounded["logits"], exact["logits"], least=1.0),
        )
    }
    for what in ("gradients", "statistics"):
        found[what] = (_whole(step[what], rounded[what]), _whole(rounded[what], exact[what]))
    return found


def _whole(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Returns the length of the difference of two sets of arrays over the length of the expected one."""
    if not expected:
        return 0.0
    differences = [actual[k].astype("float64") - v for k, v in expected.items()]
    lengths = [np.linalg.norm(np.concatenate([v.ravel() for v in vs])) for vs in (differences, expected.values())]
    assert np.isfinite(lengths).all()
    return float(lengths[0] / lengths[1])


def check_blocks(
    model: keras.Model,
    twin: nn.Module,
    x: np.ndarray,
    blocks: Iterable[tuple[str, str, str]],
    modules: Mapping[str, str],
) -> float:
    """Asserts that each block alone is equal in training mode, given the same input.

    Outputs in float32 at 1e-4; outputs and the parameters' gradients in float64 at 1e-8, the input's gradient at 1e-6.

    Args:
        model: Keras model with the twin's weights; they are as before afterwards.
        twin: the twin.
        x: images.
        blocks: (name of the layer whose output enters the block, name of the block's last layer, the twin's module).
        modules: Keras layer -> PyTorch module.

    Returns:
        The largest distance of any block's output in float32.
    """
    wanted = list(blocks)
    inputs: dict[str, torch.Tensor] = {}
    running = copy.deepcopy(twin).train()
    for _, _, name in wanted:
        running.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: inputs.update({name: args[0].detach()})
        )
    with torch.no_grad():
        running(nchw(x))
    before, worst = model.get_weights(), 0.0
    for first, last, name in wanted:
        block = copy.deepcopy(twin.get_submodule(name)).train()
        layers = [model.get_layer(first).output, model.get_layer(last).output]
        with torch.no_grad():
            actual = keras.Model(*layers)(inputs[name].permute(0, 2, 3, 1), training=True)
            expected = block(inputs[name]).permute(0, 2, 3, 1)
        distance = relative(as_numpy(actual), as_numpy(expected), least=1e-3)
        assert distance <= TRAINING, f"{name} differs by {distance:.1e}"
        worst = max(worst, distance)
        with float64():
            part = in_float64(keras.Model(*layers))
            _check_block_float64(part, block.double(), inputs[name].double(), name, modules)
    model.set_weights(before)
    return worst


def _check_block_float64(
    part: keras.Model, block: nn.Module, x: torch.Tensor, name: str, modules: Mapping[str, str]
) -> None:
    torch_x = x.clone().requires_grad_()
    expected = block(torch_x)
    weighting = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (expected * weighting).sum().backward()
    keras_x = x.permute(0, 2, 3, 1).contiguous().requires_grad_()
    actual = part(keras_x, training=True)
    gradients = gradients_by_name(part, (actual * weighting.permute(0, 2, 3, 1)).sum(), modules, keras_x)
    input_gradient = gradients.pop("input")
    # the part's input is declared float32, and its gradient is rounded to that
    distance = relative(input_gradient, as_numpy(torch_x.grad.permute(0, 2, 3, 1)), least=1e-3)
    assert distance <= 1e-6, f"input gradient of {name} differs by {distance:.1e}"
    pairs = [(as_numpy(actual), as_numpy(expected.permute(0, 2, 3, 1)))]
    parameters = in_keras_order(
        {f"{name}.{key}": as_numpy(p.grad) for key, p in block.named_parameters()}, part, modules
    )
    pairs += [(gradients[key], expected) for key, expected in parameters.items()]
    worst = max(relative(a, e, least=1e-3) for a, e in pairs)
    assert worst <= EXACT, f"{name} differs by {worst:.1e} in float64"
