"""`accelerate`: a factor of the loss is seen to change in modules, classes and containers of the user's own."""

import sys
import threading
import types
from collections import ChainMap, UserDict, deque
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.accelerated import check, features, fit, later, only_torch, perceptron

pytestmark = [only_torch]

X, Y = features()


SOURCE = """
import types
PARAMS, FACTOR, INSIDE = {"f": 1.0}, 1.0, types.ModuleType("inside")
INSIDE.DEEP = 1.0
class CFG:
    f = 1.0
def scale(x):
    return x * FACTOR
"""


def module(name="settings_of_a_user"):
    made = types.ModuleType(name)
    sys.modules[name] = made
    exec(SOURCE, vars(made))  # as `import` does
    return made


settings = module()


class Slotted:
    __slots__ = ("f", "later")

    def __init__(self):
        self.f = 1.0


@dataclass(slots=True, frozen=True)
class Frozen:
    f: dict


class Named(dict):
    f = 1.0


def table():
    """Returns a class of its own for each test: all of a class is watched."""

    class Table:
        values, _hidden, slotted = {"f": 1.0}, SimpleNamespace(f=1.0), Slotted()

        @staticmethod
        def f():
            return 1.0

    return Table


ONE, TWO, THREE, FOUR = table(), table(), table(), table()
SLOTTED, FROZEN, NAMED, QUEUE, VARIABLE = Slotted(), Frozen({"f": 1.0}), Named(), deque([1.0]), ContextVar("factor")
USER, CHAIN, PROXY = UserDict(f=1.0), ChainMap({"f": 1.0}), MappingProxyType(BEHIND := {"f": 1.0})
THREAD, HOLDER = threading.local(), SimpleNamespace(module=settings)


def error(y, p):
    return ops.mean(ops.square(ops.cast(y, "float32")[:, None] - p), axis=-1)


def imported(y, p):
    import settings_of_a_user as found

    return error(y, p) * found.PARAMS["f"]


def from_closure(found):
    return lambda y, p: error(y, p) * found.FACTOR


def attribute(owner, name="f"):
    return lambda value: setattr(owner, name, value)


def item(held, key="f"):
    return lambda value: held.__setitem__(key, value)


SET_FACTOR, SET_PARAMS = attribute(settings, "FACTOR"), item(settings.PARAMS)
LOSSES = {
    "module-dictionary": (lambda y, p: error(y, p) * settings.PARAMS["f"], SET_PARAMS),
    "module-class": (lambda y, p: error(y, p) * settings.CFG.f, attribute(settings.CFG)),
    "module-function": (lambda y, p: settings.scale(error(y, p)), SET_FACTOR),
    "module-in-module": (lambda y, p: error(y, p) * settings.INSIDE.DEEP, attribute(settings.INSIDE, "DEEP")),
    "module-getattr": (lambda y, p: error(y, p) * getattr(settings, "FACTOR"), SET_FACTOR),  # noqa: B009
    "module-imported": (imported, SET_PARAMS),
    "module-closure": (from_closure(settings), SET_FACTOR),
    "module-held": (lambda y, p: error(y, p) * HOLDER.module.FACTOR, SET_FACTOR),
    "class-dictionary": (lambda y, p: error(y, p) * ONE.values["f"], item(ONE.values)),
    "class-object": (lambda y, p: error(y, p) * TWO._hidden.f, attribute(TWO._hidden)),
    "class-slots": (lambda y, p: error(y, p) * THREE.slotted.f, attribute(THREE.slotted)),
    "class-method": (lambda y, p: error(y, p) * FOUR.f(), lambda v: setattr(FOUR, "f", staticmethod(lambda: v))),
    "slots": (lambda y, p: error(y, p) * SLOTTED.f, attribute(SLOTTED)),
    "slots-filled-later": (lambda y, p: error(y, p) * getattr(SLOTTED, "later", 1.0), attribute(SLOTTED, "later")),
    "dataclass": (lambda y, p: error(y, p) * FROZEN.f["f"], item(FROZEN.f)),
    "attribute-of-a-dictionary": (lambda y, p: error(y, p) * NAMED.f, attribute(NAMED)),
    "queue": (lambda y, p: error(y, p) * QUEUE[0], item(QUEUE, 0)),
    "context": (lambda y, p: error(y, p) * VARIABLE.get(), VARIABLE.set),
    "user-dictionary": (lambda y, p: error(y, p) * USER["f"], item(USER)),
    "chain": (lambda y, p: error(y, p) * CHAIN["f"], item(CHAIN)),
    "proxy": (lambda y, p: error(y, p) * PROXY["f"], item(BEHIND)),
    "thread": (lambda y, p: error(y, p) * THREAD.f, attribute(THREAD)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_factor_that_a_callback_changes_wherever_it_is_kept(name):
    loss, put = LOSSES[name]

    def train(model):
        if name == "slots-filled-later" and hasattr(SLOTTED, "later"):
            del SLOTTED.later
        elif name != "slots-filled-later":
            put(1.0)
        return later(lambda _: put(0.1))(model)

    assert check(lambda: perceptron(loss=loss), train) is None


def test_a_method_that_plots_is_no_reason_not_to_record():
    plots = pytest.importorskip("matplotlib.pyplot")

    class Plotted(keras.losses.Loss):
        def call(self, y, p):
            return error(y, p)

        def show(self):
            plots.plot([0.0])
            plots.savefig("loss.png")

    assert check(lambda: perceptron(loss=Plotted()), fit(X, Y)) is None


def test_a_queue_that_grows_in_every_step_is_left_to_keras():
    held = deque(maxlen=2)

    def loss(y, p):
        held.append(1.0)
        return error(y, p) * len(held)

    def train(model):
        held.clear()
        return fit(X, Y)(model)

    assert "changes" in check(lambda: perceptron(loss=loss), train)


def test_a_slot_that_a_step_sets_is_left_to_keras():
    held = Slotted()

    def loss(y, p):
        held.f *= 0.9
        return error(y, p) * held.f

    def train(model):
        held.f = 1.0
        return fit(X, Y)(model)

    assert "changes Slotted.f" in check(lambda: perceptron(loss=loss), train)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", lambda y, p: error(y, p) * keras.config.epsilon() * 1e6])
def test_keras_epsilon_between_two_fits(loss):
    labels = np.eye(3, dtype="float32")[Y] if isinstance(loss, str) else Y
    before = keras.config.epsilon()

    def make():
        inputs = keras.Input((6,))
        model = keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs))
        model.compile(keras.optimizers.SGD(0.1), loss)
        return model

    def train(model):
        try:
            found = fit(X, labels)(model).history
            keras.config.set_epsilon(0.2)
            return [found, fit(X, labels)(model).history]
        finally:
            keras.config.set_epsilon(before)

    assert check(make, train) is None


def test_keras_floatx_in_the_middle_of_fit():
    def loss(y, p):
        return error(y, p) * (1.0 if keras.config.floatx() == "float32" else 0.1)

    def train(model):
        try:
            return later(lambda _: keras.config.set_floatx("float64"))(model)
        finally:
            keras.config.set_floatx("float32")

    assert check(lambda: perceptron(loss=loss), train) is None


def test_an_object_that_has_no_attribute_but_an_error_for_each():
    class Strict:
        def __init__(self):
            self.f = 1.0

        def __getattr__(self, name):
            raise KeyError(name)

    held = Strict()
    assert check(lambda: perceptron(loss=lambda y, p: error(y, p) * held.f), later(lambda _: None)) is None
