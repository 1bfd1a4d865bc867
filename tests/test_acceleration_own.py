"""`accelerate`: what a model or an optimizer does in its own way is done in that way."""

from types import MethodType

import keras
import numpy as np
import pytest
import torch

from kmodels.acceleration import accelerate, execution, explain
from tests.accelerated import check, convnet, crossentropy, features, fit, images, later, only_torch, perceptron

pytestmark = [only_torch]

X, Y = features()


def halved(model, force=False):
    """Makes a train function that takes every step on half of the inputs."""
    keras.Model.make_train_function(model, force)
    step = model.train_function
    model.train_function = lambda batches: step([(batches[0][0] * 0.5, *batches[0][1:])])


def doubled(model, force=False):
    """Makes a test function that doubles the inputs."""
    keras.Model.make_test_function(model, force)
    step = model.test_function
    model.test_function = lambda batches: step([(batches[0][0] * 2.0, *batches[0][1:])])


OWN = {"make_train_function": halved, "make_test_function": doubled}


def own(name, where):
    if where == "instance":
        model = perceptron()
        model.__dict__[name] = MethodType(OWN[name], model)
        return model
    inputs = keras.Input((6,))
    model = type("Own", (keras.Model,), {name: OWN[name]})(inputs, keras.layers.Dense(3)(inputs))
    model.compile(keras.optimizers.SGD(0.1), crossentropy())
    return model


@pytest.mark.parametrize("where", ["class", "instance"])
@pytest.mark.parametrize("name", OWN)
def test_a_train_or_test_function_that_the_model_makes_itself(name, where):
    def train(model):
        found = fit(X, Y, validation_data=(X, Y))(model).history
        return [found, model.evaluate(X, Y, verbose=0), fit(X, Y)(model).history, model.predict(X, verbose=0)]

    assert f"has a {name} of its own" in check(lambda: own(name, where), train)


@pytest.mark.parametrize("name", OWN)
def test_it_is_kept_by_a_second_call_and_by_compile(name):
    plain, fast = own(name, "class"), accelerate(accelerate(own(name, "class")), mode="record")
    fast.set_weights(plain.get_weights())
    for model in (plain, fast):
        model.compile(keras.optimizers.SGD(0.1), crossentropy())
    found = fit(X, Y, shuffle=False, validation_data=(X, Y))(plain).history
    with pytest.warns(UserWarning, match=name):
        again = fit(X, Y, shuffle=False, validation_data=(X, Y))(fast).history
    assert found == again
    assert execution(fast) == "keras" and name in explain(fast)
    np.testing.assert_array_equal(plain.get_weights()[0], fast.get_weights()[0])


def test_a_predict_function_of_its_own_stays_while_training_is_recorded():
    def predictor(model, force=False):
        model.predict_function = lambda batches: torch.full((len(batches[0][0]), 3), 7.0)

    def make():
        model = perceptron()
        model.__dict__["make_predict_function"] = MethodType(predictor, model)
        return model

    assert check(make, lambda model: [fit(X, Y)(model).history, model.predict(X, verbose=0)]) is None


def test_a_model_may_be_accelerated_twice():
    model = accelerate(accelerate(perceptron()), mode="record")
    fit(X, Y)(model)
    assert execution(model) == "recorded"


def centralised(optimizer):
    """Replaces `apply` by one that takes the mean out of every gradient first."""
    apply = optimizer.apply
    optimizer.apply = lambda gradients, variables=None: apply([g - g.mean() for g in gradients], variables)


def signs(optimizer):
    optimizer._clip_gradients = lambda gradients: [g.sign() for g in gradients]


def slow(optimizer):
    rate = optimizer._get_current_learning_rate
    optimizer._get_current_learning_rate = lambda: rate() * 0.1


@pytest.mark.parametrize("replace, name", [(centralised, "apply"), (signs, "_clip_gradients"), (slow, "_get_current")])
def test_a_method_of_the_optimizer_that_was_replaced(replace, name):
    def replaced():
        optimizer = keras.optimizers.Adam(0.01)
        replace(optimizer)
        return perceptron(optimizer=optimizer)

    assert name in check(replaced, fit(X, Y))
    assert name in check(perceptron, later(lambda model: replace(model.optimizer)))


@pytest.mark.parametrize("when", ["before", "later"])
def test_a_method_of_a_layer_that_was_replaced(when):
    def replace(model):
        layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
        operation = layer.convolution_op
        layer.convolution_op = lambda inputs, kernel: operation(inputs, kernel) * 0.5

    def make():
        model = convnet()
        if when == "before":
            replace(model)
        return model

    x, y = images()

    def train(model):
        found = fit(x, y)(model).history
        if when == "later":
            replace(model)
        return [found, fit(x, y)(model).history]

    assert check(make, train) is None


def test_a_cause_names_the_code_that_it_is_about():
    class Choosing(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2 if keras.ops.sum(inputs) > 0 else inputs

    rate = keras.optimizers.schedules.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=5)
    for layer, options, words in (
        (Choosing(), {}, "Choosing.call (test_acceleration_own.py:"),
        (keras.layers.GaussianNoise(0.1, seed=3), {}, "GaussianNoise.call (gaussian_noise.py:"),
        (keras.layers.Identity(), {"optimizer": keras.optimizers.SGD(rate)}, "CosineDecay.__call__ ("),
    ):
        inputs = keras.Input((6,))
        model = keras.Model(inputs, keras.layers.Dense(3)(layer(inputs)))
        model.compile(**{"optimizer": "sgd", "loss": crossentropy(), **options})
        with pytest.warns(UserWarning, match="it reads a tensor's value on the host, in") as caught:
            fit(*features())(accelerate(model, mode="record"))
        assert words in str(caught[0].message)
    assert keras.config.is_traceback_filtering_enabled()
