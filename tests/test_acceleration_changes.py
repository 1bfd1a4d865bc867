"""`accelerate`: what changes after a step was recorded is seen, whoever changes it."""

import random

import keras
import numpy as np
import pytest
import torch

from kmodels.acceleration import execution, explain
from tests.accelerated import (
    check,
    convnet,
    crossentropy,
    features,
    fit,
    images,
    later,
    only_torch,
    perceptron,
    trained,
    values,
)

pytestmark = [only_torch]

X, Y = features()
IMAGES, CLASSES = images()


class Scaled(keras.layers.Layer):
    """Multiplies by numbers that only Python knows of."""

    def __init__(self, **options):
        super().__init__(**options)
        self.factor, self.listed, self.named = 1.0, [1.0, 1.0], {"a": 1.0}
        self.array, self.holder = np.ones(5, "float32"), Holder()

    def call(self, inputs):
        array = keras.ops.convert_to_tensor(self.array)
        return inputs * self.factor * self.listed[1] * self.named["a"] * array * self.holder.value


class Holder:
    def __init__(self):
        self.value = 1.0


def scaled():
    inputs = keras.Input((6,))
    x = Scaled(name="scaled")(keras.layers.Dense(5, activation="tanh")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.compile(keras.optimizers.SGD(0.1), crossentropy())
    return model


def _layer(model):
    return model.get_layer("scaled")


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(_layer(m), "factor", 0.1),
        lambda m: _layer(m).listed.__setitem__(1, 0.1),
        lambda m: _layer(m).named.__setitem__("a", 0.1),
        lambda m: _layer(m).array.__setitem__(slice(None), 0.1),
        lambda m: setattr(_layer(m), "array", np.full(5, 0.1, "float32")),
        lambda m: setattr(_layer(m).holder, "value", 0.1),
        lambda m: setattr(m.layers[1], "activation", keras.activations.relu),
        lambda m: setattr(m.optimizer, "weight_decay", 0.5),
        lambda m: setattr(m.optimizer, "momentum", 0.0),
        lambda m: setattr(m.optimizer, "clipvalue", 1e-3),
        lambda m: setattr(m.optimizer, "learning_rate", 1e-3),
        lambda m: setattr(m.optimizer, "learning_rate", keras.optimizers.schedules.ExponentialDecay(1e-3, 1, 0.9)),
        lambda m: setattr(m, "_loss_weight", 0.0),
        lambda m: setattr(m.layers[1], "kernel_regularizer", keras.regularizers.L2(1.0)),
        lambda m: setattr(m.layers[1], "activity_regularizer", keras.regularizers.L2(1.0)),
        lambda m: setattr(m.layers[1], "call", lambda inputs, training=None: inputs[:, :5]),
        lambda m: setattr(m, "optimizer", m.optimizer.__class__(1e-3)),
        lambda m: setattr(m, "run_eagerly", True),
        lambda m: setattr(m.loss, "from_logits", False),
    ],
    ids=[
        *(
            "number",
            "list",
            "dictionary",
            "array-in-place",
            "array",
            "object",
            "activation",
            "weight_decay",
            "momentum",
        ),
        *("clipvalue", "learning_rate", "schedule", "nothing", "regularizer", "activity", "call", "optimizer"),
        *("run_eagerly", "loss"),
    ],
)
def test_attributes_changed_by_a_callback(change):
    check(scaled, later(change))


@pytest.mark.parametrize("options", [{"mode": "compile"}, {"mode": "auto", "steps": 10**6}], ids=["compile", "auto"])
def test_a_number_that_changes_every_epoch_has_the_step_compiled_twice_at_most(options, monkeypatch):
    graphs = []
    monkeypatch.setattr("kmodels.torch_step.functions.can_compile", lambda device: None)
    monkeypatch.setattr("kmodels.torch_step.functions.compiled", lambda graph, inputs: graphs.append(graph) or graph)

    def train(model):
        def on_epoch_begin(epoch, logs):
            _layer(model).factor = 1.0 + epoch / 10

        return fit(X, Y, epochs=5, batch_size=1, callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin)])(model)

    fast, result, causes = trained(scaled, train, **options)
    plain, expected, _ = trained(scaled, train)
    assert not causes and len(graphs) == 2
    assert execution(fast) == "recorded"
    assert "recorded anew 4 times, so not compiled any more: Scaled scaled.factor changed" in explain(fast)
    np.testing.assert_allclose(result["loss"], expected["loss"], rtol=1e-4)
    for a, b in zip(values(fast), values(plain), strict=False):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("index", [1, 2])
def test_trainable_changed_in_the_middle_of_fit_between_fits_and_after_compile(index):
    def freeze(model):
        model.layers[index].trainable = False

    assert "trainable" in check(perceptron, later(freeze))

    def between(model):
        before = fit(X, Y)(model).history
        freeze(model)
        return [before, fit(X, Y)(model).history]

    assert "trainable" in check(perceptron, between)

    def again(model):
        before = fit(X, Y)(model).history
        freeze(model)
        model.compile(keras.optimizers.SGD(0.1), crossentropy())
        return [before, fit(X, Y)(model).history]

    assert check(perceptron, again) is None


@pytest.mark.parametrize("options", [{}, {"center": False, "scale": False}])
def test_a_batch_normalization_frozen_and_thawed(options):
    def make():
        inputs = keras.Input((6,))
        x = keras.layers.BatchNormalization(name="norm", **options)(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
        model.compile(keras.optimizers.SGD(0.1), crossentropy())
        return model

    check(make, later(lambda model: setattr(model.get_layer("norm"), "trainable", False)))

    def frozen():
        model = make()
        model.get_layer("norm").trainable = False
        model.compile(keras.optimizers.SGD(0.1), crossentropy())
        return model

    assert check(frozen, fit(X, Y)) is None


def test_a_parameter_frozen_or_hooked_the_way_pytorch_does():
    check(perceptron, lambda model: [model.layers[1].kernel.value.requires_grad_(False), fit(X, Y)(model).history][1:])
    check(perceptron, later(lambda model: model.layers[1].kernel.value.requires_grad_(False)))

    def hooked(model):
        model.layers[1].kernel.value.register_hook(lambda gradient: gradient * 0.01)
        return fit(X, Y)(model)

    check(perceptron, hooked)
    check(perceptron, later(lambda model: model.layers[1].kernel.value.register_hook(lambda g: g * 0.01)))


def test_decay_excluded_between_fits():
    def train(model):
        before = fit(X, Y)(model).history
        model.optimizer.exclude_from_weight_decay(var_names=["kernel"])
        return [before, fit(X, Y)(model).history]

    check(lambda: perceptron(optimizer=keras.optimizers.AdamW(1e-3, weight_decay=0.5)), train, exact=True)


FACTOR = 1.0


def test_numbers_that_a_function_finds_in_its_surroundings():
    cell = [1.0]
    number = 1.0

    def change(model):
        global FACTOR
        nonlocal number
        cell[0] = number = FACTOR = 0.1

    def restart():
        nonlocal number
        cell[0] = number = 1.0
        change.__globals__["FACTOR"] = 1.0

    functions = {
        "cell": lambda y, p: cell[0] * _mse(y, p),
        "variable": lambda y, p: number * _mse(y, p),
        "global": lambda y, p: FACTOR * _mse(y, p),
    }
    for function in functions.values():
        check(lambda f=function: perceptron(loss=f), lambda model: [restart(), later(change)(model).history][1:])


def _mse(y, p):
    return keras.ops.mean(keras.ops.square(keras.ops.cast(y, "float32")[:, None] - p), axis=-1)


@pytest.mark.parametrize("draw", [lambda: random.random(), lambda: float(np.random.rand())], ids=["python", "numpy"])
def test_numbers_drawn_on_the_host_are_drawn_in_every_step(draw):
    def make():
        inputs = keras.Input((6,))
        x = keras.layers.Lambda(lambda x: x * draw())(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
        model.compile("sgd", crossentropy())
        return model

    assert check(make, fit(X, Y)) is not None


def test_the_call_of_one_layer_that_was_replaced_stays_replaced():
    def make():
        model = convnet()
        layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
        old = layer.call
        layer.call = lambda inputs: old(inputs) * 0.5
        return model

    def train(model):
        found = fit(IMAGES, CLASSES)(model).history
        return [found, model.predict(IMAGES, verbose=0)]

    assert check(make, train) is None


def test_a_change_of_the_type_of_all_weights():
    def train(model):
        before = fit(X, Y)(model).history
        for variable in model.trainable_variables:
            variable.value.data = variable.value.data.t().contiguous().t()
        return [before, fit(X, Y)(model).history]

    assert check(perceptron, train) is None


def test_autocast_around_fit():
    def train(model):
        before = fit(X, Y)(model).history
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return [before, fit(X, Y)(model).history]

    check(perceptron, train, atol=2e-2)
