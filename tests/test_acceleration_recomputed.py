"""`accelerate`: layers that the backward pass computes again, whose masks and statistics must be those of Keras."""

import keras
import numpy as np
import pytest
import torch
from keras import ops

from kmodels import accelerate, explain
from tests.accelerated import check, crossentropy, features, fit, images, only_torch

pytestmark = [only_torch]

X, Y = features()
L = keras.layers


class Recomputing(keras.Model):
    """Computes one of its layers again in the backward pass."""

    def __init__(self, inner, by):
        super().__init__()
        self.before, self.inner, self.after, self.by = L.Dense(5), inner, L.Dense(3), by

    def call(self, x, training=None):
        def compute(z):
            return ops.square(self.inner(z, training=training))  # whose gradient needs what is computed

        x = self.before(x)
        if self.by == "keras":
            return self.after(keras.remat(compute)(x))
        return self.after(torch.utils.checkpoint.checkpoint(compute, x, use_reentrant=False, preserve_rng_state=False))


def network(make, by):
    def build():
        inputs = keras.Input((6,))
        if by == "scope":
            with keras.RematScope(mode="full"):
                inner = make()
            model = keras.Model(inputs, L.Dense(3)(ops.square(inner(L.Dense(5)(inputs)))))
        else:
            model = Recomputing(make(), by)
            model(X)  # builds it
        model.compile(keras.optimizers.SGD(0.05), crossentropy())
        return model

    return build


@pytest.mark.parametrize("by", ["keras", "scope", "torch"])
def test_statistics_are_updated_as_often_as_keras_does(by):
    cause = check(network(lambda: L.BatchNormalization(name="normalized"), by), fit(X, Y, epochs=1))
    assert "normalized is computed again in the backward pass" in cause


@pytest.mark.parametrize("by", ["keras", "scope", "torch"])
def test_random_masks_are_left_to_keras(by):
    cause = check(network(lambda: L.Dropout(0.5, seed=1, name="dropped"), by), fit(X, Y, epochs=1))
    assert "dropped is computed again in the backward pass" in cause


def test_the_mask_is_the_same_in_both_passes():
    with keras.RematScope(mode="full"):
        dropout = L.Dropout(0.5)
    scale = L.EinsumDense("bi,i->bi", (1000,), kernel_initializer="ones")
    inputs = keras.Input((1000,))
    model = keras.Model(inputs, ops.square(dropout(scale(inputs))))
    model.compile(keras.optimizers.SGD(1.0), lambda y, prediction: ops.sum(prediction))
    accelerate(model, mode="record")
    x = np.ones((1, 1000), "float32")
    with pytest.warns(UserWarning, match="is computed again in the backward pass"):
        loss = model.train_on_batch(x, x)
    kept = int((np.asarray(model.trainable_variables[0].value.detach()) != 1).sum())  # where there was a gradient
    assert kept == round(float(loss) / 4)
    assert "is computed again in the backward pass" in explain(model)


def test_what_is_not_computed_again_is_recorded():
    def build():
        inputs = keras.Input((6,))
        with keras.RematScope(mode="full"):
            x = L.Dense(5, activation="tanh", name="again")(inputs)
        x = L.BatchNormalization()(x)
        model = keras.Model(inputs, L.Dense(3)(x))
        model.compile(keras.optimizers.SGD(0.05), crossentropy())
        return model

    assert check(build, fit(X, Y)) is None


def test_a_pair_of_layers_of_which_one_is_computed_again_stays_two():
    def build():
        inputs = keras.Input((8, 8, 3))
        x = L.ZeroPadding2D(1)(L.Conv2D(3, 1)(inputs))
        with keras.RematScope(mode="full"):
            x = L.Conv2D(4, 3, activation="tanh")(x)
        model = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))
        model.compile(keras.optimizers.SGD(0.05), crossentropy())
        return model

    assert check(build, fit(*images())) is None
