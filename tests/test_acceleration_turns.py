"""A `fit` whose whole batches are recorded, while Keras takes the short last ones and the validation."""

import itertools

import keras
import numpy as np
import pytest

from kmodels.acceleration import execution, explain
from tests.accelerated import convnet, fit, images, only_torch, perceptron, trained, values

pytestmark = only_torch

X, Y = images(61)
EPOCHS = 12  # of 12 whole batches, which are worth a recording, and one of a single image, which is not
TRAIN = fit(X, Y, epochs=EPOCHS, validation_data=images(7, number=1))


def check(make, train=TRAIN):
    plain, expected, _ = trained(make, train)
    fast, found, causes = trained(make, train, mode="auto")
    said = explain(fast).splitlines()
    assert causes == [] and execution(fast) == "recorded"
    assert [line.split(":")[0].strip() for line in said[1:]] == [
        "training", "other training batches", "other evaluation batches"
    ]  # fmt: skip
    for a, b, variable in zip(values(fast), values(plain), [*plain.variables, *plain.optimizer.variables], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3, err_msg=variable.path)
    for name, curve in expected.items():
        np.testing.assert_allclose(found[name], curve, rtol=2e-3, err_msg=name)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True, global_clipnorm=1.0),
        lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.02, 13, 0.8)),
        lambda: keras.optimizers.Adam(1e-3, clipnorm=1.0),
        lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.1),
        lambda: keras.optimizers.Nadam(1e-3),
    ],
    ids=["nesterov", "schedule", "adam", "adamw", "nadam"],
)
def test_images(optimizer):
    check(lambda: convnet(optimizer=optimizer(), metrics=["accuracy"]))


def test_several_steps_an_execution():
    make = lambda count: convnet(optimizer=keras.optimizers.Adam(1e-3), steps_per_execution=count)  # noqa: E731
    before, expected, _ = trained(lambda: make(1), TRAIN)  # Keras refuses more
    fast, found, _ = trained(lambda: make(4), TRAIN, mode="auto")
    assert execution(fast) == "recorded"
    for a, b in zip(values(fast), values(before), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found["val_loss"], expected["val_loss"], rtol=2e-3)


def test_weights_of_samples_and_regularizers():
    weights = np.random.default_rng(0).random(61).astype("float32")
    train = fit(
        *(np.random.default_rng(2).normal(size=(61, 6)).astype("float32"), Y),
        sample_weight=weights,
        epochs=2 * EPOCHS,
        validation_data=(np.ones((7, 6), "float32"), np.zeros(7)),
    )
    hidden = {"kernel_regularizer": keras.regularizers.L2(1e-2), "activity_regularizer": keras.regularizers.L1(1e-2)}
    check(lambda: perceptron(hidden=dict(hidden), weighted_metrics=["accuracy"]), train)


def test_dropout_draws_the_same_again_and_never_a_mask_twice():
    masks = []

    class Watched(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.mean(y_pred, axis=-1)

    def make():
        inputs = keras.Input((400,))
        dense = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
        model = keras.Model(inputs, dense(keras.layers.Dropout(0.5, seed=1)(inputs)))
        model.compile(keras.optimizers.SGD(1.0), Watched())
        return model

    def train(model):
        kernel = model.layers[-1].kernel
        held = [kernel.numpy().copy()]

        def note(batch, logs):
            held.append(keras.ops.convert_to_numpy(kernel).copy())

        fit(
            np.ones((61, 400), "float32"),
            Y,
            epochs=2 * EPOCHS,  # of a network that takes many operations a layer
            shuffle=False,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=note)],
        )(model)
        masks.append([(a - b).round(3).tobytes() for a, b in itertools.pairwise(held)])

    for _ in range(2):
        assert execution(trained(make, train, mode="auto")[0]) == "recorded"
    assert masks[0] == masks[1]
    assert len(set(masks[0])) == len(masks[0]) == 13 * 2 * EPOCHS
