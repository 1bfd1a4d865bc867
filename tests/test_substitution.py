"""PyTorch's kernels under Keras' layers compute what Keras computes, two layers at once where one kernel does both."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("recorded steps are PyTorch's", allow_module_level=True)

from kmodels import accelerate, models
from kmodels.models.initial_weights import initialize
from kmodels.torch_step.substitution import substituted, substitutes

L = keras.layers


def trained(build, shape, accelerated):
    model = build()
    initialize(model, 0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    if accelerated:
        accelerate(model, mode="record")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, *shape)).astype("float32"), rng.integers(0, 10, 8)
    history = model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0, validation_data=(x, y)).history
    return history, model.get_weights()


def assert_same(build, shape):
    (history, weights), (expected, wanted) = (trained(build, shape, fast) for fast in (True, False))
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    for value, want in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize("name", ["convnet", "densenet_d", "densenet_d_small_stem", "se_resnet14_d", "vgg11_lrn"])
def test_networks_train_as_with_keras_own_layers(name):
    shape = models.MODELS[name].input_shape
    assert_same(lambda: models.build(name), shape)


def padded(pad=1, padding="valid", again=False):
    inputs = keras.Input((7, 6, 3))
    zeros = L.ZeroPadding2D(pad, name="zeros")(inputs)
    x = L.Conv2D(4, 3, strides=2, padding=padding, name="convolution")(zeros)
    pooled = L.MaxPooling2D(3, 1, padding="same", name="maxima")(x)
    x = L.MaxPooling2D(1, 2, name="every_second")(pooled)
    x = L.Concatenate()([L.Flatten()(x), L.Flatten()(pooled)]) if again else L.Flatten()(x)
    return keras.Model(inputs, L.Dense(10, name="logits")(x))


def merged(model):
    return [layer.name for layer, call in substitutes(model).items() if call.__name__ == "_handed_on"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["zeros", "maxima"]),
        ({"pad": 3}, ["zeros", "maxima"]),
        ({"pad": ((2, 2), (0, 0))}, ["zeros", "maxima"]),
        ({"pad": ((0, 1), (0, 1))}, ["maxima"]),  # more zeros below than above, which no PyTorch convolution puts there
        ({"padding": "same"}, ["maxima"]),
        ({"again": True}, ["zeros"]),  # the maxima are needed by themselves
    ],
)
def test_pairs_are_one_kernel_where_that_is_the_same(settings, names):
    assert merged(padded(**settings)) == names
    assert_same(lambda: padded(**settings), (7, 6, 3))


def test_an_output_of_the_model_is_not_skipped():
    inputs = keras.Input((7, 6, 3))
    zeros = L.ZeroPadding2D(1)(inputs)
    model = keras.Model(inputs, [zeros, L.Conv2D(4, 3)(zeros)])
    assert merged(model) == []


def test_a_layer_is_its_own_again_afterwards():
    model = padded()
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype("float32")
    before = keras.ops.convert_to_numpy(model(x))
    with substituted(model):
        within = keras.ops.convert_to_numpy(model(x))
    assert "call" not in vars(model.get_layer("zeros"))
    np.testing.assert_allclose(within, before, atol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), before)
