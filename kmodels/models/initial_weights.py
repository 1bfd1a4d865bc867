"""Initial weights and dropout seeds that are the same bytes under every Keras backend.

Keras draws with the backend's own generator, so one seed starts three different networks on torch, JAX and TensorFlow.
Here NumPy's Philox draws instead, keyed by the seed and the path of the variable: two networks that share a layer (same
path, same shape) also share its start, whatever else differs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import keras
import numpy as np
from keras import initializers

__all__ = ["draw", "initialize", "seed_dropout", "seed_masks"]


def initialize(model: keras.Model, seed: int) -> None:
    """Draws all weights of a model anew, each by its own layer's initializer.

    Args:
        model: a built model; every weight `w` of a layer needs the initializer as the layer's `w_initializer`.
        seed: any integer.

    Raises:
        ValueError: a weight has no known initializer; the message names its path.
    """
    for path, layer in layer_paths(model):
        for variable in layer.weights:
            initializer = getattr(layer, f"{variable.name}_initializer", None)
            where = f"{path}/{variable.name}"
            if initializer is None:
                raise ValueError(f"model: expected an attribute {variable.name}_initializer. Received: layer {path!r}")
            variable.assign(draw(initializer, tuple(variable.shape), generator("weights", seed, where), where))


def seed_dropout(model: keras.Model, seed: int, fold: int) -> None:
    """Makes the dropout masks of the training that follows depend on seed, fold and layer path alone.

    The masks repeat on one backend, and differ between backends.
    """
    for path, layer in layer_paths(model):
        state = getattr(getattr(layer, "seed_generator", None), "state", None)
        if state is not None:
            start = int(generator("dropout", seed, fold, path).integers(2**31))
            state.assign(np.array([start, 0], dtype="uint32"))
    seed_masks(seed, fold, 0)


def seed_masks(seed: int, fold: int, epoch: int) -> None:
    """Seeds PyTorch's own generator for an epoch, from which Keras' own step draws the masks of unseeded dropout.

    On other backends, and in a recorded step, masks come from the state of each layer, and this does nothing.
    """
    if keras.backend.backend() == "torch":
        from kmodels.torch_step.randomness import seed_torch

        seed_torch(int(generator("dropout", seed, fold, epoch).integers(2**62)))


def layer_paths(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yields (path, layer) for every layer that is not itself a model, such as `member1/conv1`."""
    for layer in model.layers:
        path = f"{prefix}{layer.name}"
        if isinstance(layer, keras.Model):
            yield from layer_paths(layer, f"{path}/")
        else:
            yield path, layer


def generator(*key: object) -> np.random.Generator:
    """Returns a NumPy generator that depends on the key alone, the same on every platform.

    Example:
        >>> int(generator("weights", 0, "conv1/kernel").integers(1000))
        421
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def draw(
    initializer: initializers.Initializer, shape: tuple[int, ...], rng: np.random.Generator, where: str
) -> np.ndarray:
    """Draws one weight as a Keras initializer describes it, with NumPy.

    Args:
        initializer: `VarianceScaling` and all built on it (Glorot, He, LeCun), `RandomUniform`, `RandomNormal`,
            `TruncatedNormal`, `Zeros`, `Ones` or `Constant`.
        shape: shape of the weight.
        rng: source of randomness.
        where: path of the weight, for the error.

    Returns:
        float32 of that shape.

    Raises:
        ValueError: another kind of initializer.
    """
    match initializer:
        case initializers.Zeros():
            values = np.zeros(shape)
        case initializers.Ones():
            values = np.ones(shape)
        case initializers.Constant():
            values = np.full(shape, initializer.value)
        case initializers.RandomUniform():
            values = rng.uniform(initializer.minval, initializer.maxval, shape)
        case initializers.RandomNormal():
            values = rng.normal(initializer.mean, initializer.stddev, shape)
        case initializers.TruncatedNormal():
            values = initializer.mean + initializer.stddev * _truncated_normal(shape, rng)
        case initializers.VarianceScaling():
            values = _variance_scaling(initializer, shape, rng)
        case _:
            expected = "an initializer that NumPy can draw (see kmodels.models.initial_weights.draw)"
            raise ValueError(f"initializer: expected {expected}. Received: {type(initializer).__name__} at {where}")
    return values.astype("float32")


def _variance_scaling(
    initializer: initializers.VarianceScaling, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    area = math.prod(shape[:-2])  # kernels are (height, width, inputs, outputs)
    fan_in, fan_out = area * shape[-2], area * shape[-1]
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[initializer.mode]
    variance = initializer.scale / max(1.0, fan)
    if initializer.distribution == "uniform":
        bound = math.sqrt(3.0 * variance)
        return rng.uniform(-bound, bound, shape)
    if initializer.distribution == "untruncated_normal":
        return rng.normal(0.0, math.sqrt(variance), shape)
    return math.sqrt(variance) / _TRUNCATED_DEVIATION * _truncated_normal(shape, rng)


_TRUNCATED_DEVIATION = 0.87962566103423978  # standard deviation of a normal cut off at ± 2


def _truncated_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    values = rng.normal(size=shape)
    while (outside := np.abs(values) > 2.0).any():
        values[outside] = rng.normal(size=int(outside.sum()))
    return values
