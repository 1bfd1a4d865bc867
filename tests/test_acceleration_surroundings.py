"""`accelerate`: numbers that losses and metrics find around them, in whatever they are kept."""

import argparse
import types
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.accelerated import check, crossentropy, features, fit, later, only_torch, perceptron

pytestmark = [only_torch]

X, Y = features()
ARRAY, NAMESPACE, SIMPLE = np.ones(1, "float32"), argparse.Namespace(f=1.0), types.SimpleNamespace(f=1.0)
VARIABLE, KEYWORDS = keras.Variable(1.0), {"f": 1.0}


class Settings:
    f = 1.0


class Held:
    def __init__(self):
        self.f = 1.0

    def loss(self, y, p):
        return error(y, p) * self.f


HELD = Held()


def error(y, p, f=1.0):
    return ops.mean(ops.square(ops.cast(y, "float32")[:, None] - p), axis=-1) * f


def put(value):
    ARRAY[:] = NAMESPACE.f = SIMPLE.f = Settings.f = HELD.f = KEYWORDS["f"] = value
    VARIABLE.assign(value)


LOSSES = {
    "array": lambda y, p: error(y, p) * float(ARRAY[0]),
    "namespace": lambda y, p: error(y, p) * NAMESPACE.f,
    "simple": lambda y, p: error(y, p) * SIMPLE.f,
    "class": lambda y, p: error(y, p) * Settings.f,
    "object": lambda y, p: error(y, p) * HELD.f,
    "method": HELD.loss,
    "keywords": lambda y, p: error(y, p, **KEYWORDS),
    "variable": lambda y, p: error(y, p) * VARIABLE,
    "variable-read": lambda y, p: error(y, p) * float(VARIABLE.value),
    "variable-as-array": lambda y, p: error(y, p) * float(VARIABLE.numpy()),
    "variable-converted": lambda y, p: error(y, p) * float(ops.convert_to_numpy(VARIABLE.value)),
    "variable-item": lambda y, p: error(y, p) * VARIABLE.value.detach().item(),
    "variable-list": lambda y, p: error(y, p) * VARIABLE.value.tolist(),
    "inner": lambda y, p: next(error(y, p) * SIMPLE.f for _ in range(1)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_whose_factor_a_callback_changes(name):
    def train(model):
        put(1.0)
        return later(lambda _: put(0.1))(model)

    check(lambda: perceptron(loss=LOSSES[name]), train)


def test_a_loss_with_its_factor_bound_to_it():
    bound = types.SimpleNamespace(f=1.0)
    loss = partial(lambda y, p, holder: error(y, p) * holder.f, holder=bound)

    def train(model):
        bound.f = 1.0
        return later(lambda _: setattr(bound, "f", 0.1))(model)

    loss.__name__ = "bound"
    check(lambda: perceptron(loss=loss), train)


@pytest.mark.parametrize("name", ["simple", "variable-as-array"])
def test_a_metric_that_reads_such_a_number(name):
    def metric(y, p):
        return LOSSES[name](y, p)

    def train(model):
        put(1.0)
        return later(lambda _: put(0.1))(model)

    check(lambda: perceptron(metrics=[metric]), train)


def test_the_learning_rate_as_a_metric():
    def make():
        model = perceptron()

        def rate(y, p):
            return model.optimizer.learning_rate

        model.compile(keras.optimizers.Adam(0.01), crossentropy(), metrics=[rate])
        return model

    reduce = keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=10.0, patience=1)
    check(make, fit(X, Y, callbacks=[reduce], epochs=4))


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_variable_that_the_loss_does_not_depend_on():
    class Unused(layers.Layer):
        def build(self, shape):
            self.extra = self.add_weight(shape=(3,), initializer="ones")

        def call(self, inputs):
            return inputs

    def make():
        inputs = keras.Input((6,))
        model = keras.Model(inputs, layers.Dense(3)(Unused()(inputs)))
        model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.5), crossentropy())
        return model

    check(make, fit(X, Y), exact=True)
