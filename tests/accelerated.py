"""Trains two copies of a model, one as Keras does and one accelerated, and compares all that came out of it.

    cause = check(make, train)              # make() -> compiled model, train(model) -> numbers, or a History, or None
    assert cause is None                    # recorded; else the one warning's words

Both copies start from the same weights and the same state of every generator.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch

from kmodels.acceleration import accelerate, execution

only_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="only PyTorch's steps are recorded")

PREFIX = "kmodels.accelerate: "
ROUNDING = 2e-5  # what some steps at the learning rates of these tests make of float32 rounding


def seed(number: int = 0) -> None:
    """Seeds what Keras draws from; `keras.utils.set_random_seed` would import TensorFlow."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def values(model: keras.Model) -> list[np.ndarray]:
    """Returns the weights, then the optimizer's variables."""
    held = [*model.variables, *model.optimizer.variables]
    return [v.value.detach().double().numpy().copy() for v in held if "seed_generator_state" not in v.path]


def numbers(result: Any) -> Any:
    """Returns a History's curves as arrays, and everything else as it is."""
    result = result.history if isinstance(result, keras.callbacks.History) else result
    return keras.tree.map_structure(np.asarray, result)


def trained(make: Callable[[], keras.Model], train: Callable[[keras.Model], Any], **options: Any) -> Any:
    """Returns the model, its numbers and the causes of fallbacks; accelerated where there are options."""
    seed()
    model = make()
    if options:
        accelerate(model, **options)
    seed()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = numbers(train(model))
    causes = [str(w.message) for w in caught if str(w.message).startswith(PREFIX)]
    return model, result, causes


def check(
    make: Callable[[], keras.Model],
    train: Callable[[keras.Model], Any],
    *,
    exact: bool = False,
    mode: str = "record",
    atol: float = ROUNDING,
    stock: Callable[[keras.Model], Any] | None = None,
) -> str | None:
    """Asserts that both copies end with the same weights, optimizer and numbers.

    Args:
        make: returns a compiled model, the same for the same state of the generators.
        train: does something to it, and returns numbers that must agree.
        exact: record Keras' own operations, and compare bit by bit.
        mode: of `accelerate`; where it is `compile`, what was recorded must have been compiled.
        atol: the largest difference else, of numbers near 1.
        stock: what is done to the plain copy, where it cannot be the same.

    Returns:
        The cause why nothing was recorded, of the one warning; None where the training step was recorded.
    """
    plain, expected, _ = trained(make, stock or train)
    fast, actual, causes = trained(make, train, mode=mode, exact=exact)
    assert len(causes) <= 1, causes
    taken = "keras" if causes else {"record": "recorded", "compile": "compiled"}[mode]
    assert execution(fast) == taken, (execution(fast), causes)
    atol = 0.0 if exact else atol
    for a, b, variable in zip(
        values(fast), values(plain), [*plain.variables, *plain.optimizer.variables], strict=False
    ):
        np.testing.assert_allclose(a, b, rtol=atol, atol=atol, err_msg=variable.path)
    keras.tree.assert_same_structure(actual, expected)
    for a, b in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=atol, atol=atol)
    return causes[0].removeprefix(PREFIX) if causes else None


def features(count: int = 24, width: int = 6, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns standard normal `(count, width)` and one of 3 classes each."""
    generator = np.random.default_rng(number)
    return generator.normal(size=(count, width)).astype("float32"), generator.integers(0, 3, count)


def images(count: int = 12, size: int = 8, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns standard normal `(count, size, size, 3)` and one of 3 classes each."""
    generator = np.random.default_rng(number)
    return generator.normal(size=(count, size, size, 3)).astype("float32"), generator.integers(0, 3, count)


def perceptron(**options: Any) -> keras.Model:
    """Returns a compiled network of two dense layers for `features`."""
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(5, activation="tanh", **options.pop("hidden", {}))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    model.compile(**{"optimizer": keras.optimizers.SGD(0.1, momentum=0.9), "loss": crossentropy(), **options})
    return model


def convnet(**options: Any) -> keras.Model:
    """Returns a compiled network for `images` with every kind of layer that PyTorch's kernels take over."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(5, 3, activation="relu")(x)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.compile(**{"optimizer": keras.optimizers.SGD(0.05, momentum=0.9), "loss": crossentropy(), **options})
    return model


def crossentropy(**options: Any) -> keras.losses.Loss:
    """Returns sparse categorical cross-entropy of logits."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, **options)


def fit(x: Any, y: Any = None, **options: Any) -> Callable[[keras.Model], Any]:
    """Returns what calls `model.fit` with these arguments."""
    return lambda model: model.fit(x, y, **{"batch_size": 5, "epochs": 2, "verbose": 0, **options})


def later(change: Callable[[keras.Model], Any]) -> Callable[[keras.Model], Any]:
    """Returns a training on `features` in which `change(model)` is called after the second epoch's third batch."""

    def train(model: keras.Model) -> Any:
        count = []

        def on_train_batch_end(batch: int, logs: Any) -> None:
            count.append(batch)
            if len(count) == 8:
                change(model)

        counting = keras.callbacks.LambdaCallback(on_train_batch_end=on_train_batch_end)
        return fit(*features(), callbacks=[counting])(model)

    return train
