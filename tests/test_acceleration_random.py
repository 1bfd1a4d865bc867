"""`accelerate`: dropout's masks, and networks that nobody wrote."""

import keras
import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

from kmodels.acceleration import accelerate, execution
from kmodels.torch_step import functions
from tests.accelerated import check, crossentropy, features, fit, images, only_torch, perceptron, seed

pytestmark = [only_torch]

X, Y = features()
IMAGES, CLASSES = images()


class Keeps(keras.metrics.Metric):
    """Shows every step's output: what dropout lets through of ones."""

    def __init__(self):
        super().__init__(name="kept")
        self.last = self.add_weight(shape=(4, 500, 2), initializer="zeros", name="last")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.last.assign(y_pred)

    def result(self):
        return keras.ops.mean(self.last)


def masks(rate=0.3, steps=40, seeds=(1, 2), exact=False):
    """Returns what two dropout layers let through, (steps, batch, positions, layers)."""
    seed()
    inputs = keras.Input((500, 1))
    scale = layers.Conv1D(1, 1, kernel_initializer="ones", use_bias=False)(inputs)  # something to train, at no rate
    parts = [layers.Dropout(rate, seed=s)(scale) for s in seeds]
    model = keras.Model(inputs, layers.Concatenate()(parts))
    metric = Keeps()
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[metric])
    accelerate(model, mode="record", exact=exact)
    found = []
    for _ in range(steps):
        model.train_on_batch(np.ones((4, 500, 1)), np.zeros((4, 500, 2)))
        found.append(metric.last.value.detach().numpy().copy())
    assert execution(model) == "recorded"
    return np.array(found)


def test_dropout_keeps_the_right_share_and_scales_what_it_keeps():
    found = masks()
    np.testing.assert_allclose(found[found > 0], 1 / 0.7, rtol=1e-6)
    assert abs((found > 0).mean() - 0.7) < 4 * np.sqrt(0.7 * 0.3 / found.size)


def test_masks_are_independent_of_step_image_position_and_layer():
    kept = (masks() > 0) - 0.7
    limit = 5 * 0.3 * 0.7 / np.sqrt(kept[1:].size)
    for a, b in (
        (kept[1:], kept[:-1]),
        (kept[:, 1:], kept[:, :-1]),
        (kept[:, :, 1:], kept[:, :, :-1]),
        (kept[..., :1], kept[..., 1:]),
    ):
        assert abs((a * b).mean()) < limit * np.sqrt(kept[1:].size / a.size)


def test_masks_repeat_with_the_same_seed_and_differ_with_another():
    first = masks(steps=3)
    np.testing.assert_array_equal(first, masks(steps=3))
    assert (first != masks(steps=3, seeds=(3, 4))).any()
    unseeded = masks(steps=3, seeds=(None, None))
    assert (unseeded[..., 0] != unseeded[..., 1]).any() and (unseeded[0] != unseeded[1]).any()


def test_evaluation_drops_nothing_and_does_not_move_the_masks():
    def train(model):
        return [model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0)]

    def make():
        inputs = keras.Input((6,))
        x = layers.SpatialDropout1D(0.5, seed=1)(layers.Reshape((6, 1))(layers.Dropout(0.5, seed=2)(inputs)))
        model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
        model.compile("sgd", crossentropy())
        return model

    assert check(make, train) is None


def test_seeded_dropout_in_exact_mode_and_other_noise_are_those_of_keras():
    for layer in (layers.Dropout, layers.GaussianDropout, layers.SpatialDropout1D):

        def make(layer=layer):
            inputs = keras.Input((6, 1))
            x = layer(0.4, seed=5)(layers.Conv1D(4, 2)(inputs))
            model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
            model.compile("sgd", crossentropy())
            return model

        check(make, fit(X[..., None], Y), exact=True)


def test_a_generator_made_from_a_number_in_every_step_is_not_recorded():
    class Noisy(layers.Layer):
        def call(self, inputs):
            return inputs + keras.random.normal((6,), seed=7)

    def make():
        inputs = keras.Input((6,))
        model = keras.Model(inputs, layers.Dense(3)(Noisy()(inputs)))
        model.compile("sgd", crossentropy())
        return model

    assert check(make, fit(X, Y)) is not None

    class Torch(layers.Layer):
        def call(self, inputs):
            return inputs + torch.randn_like(inputs)

        def compute_output_shape(self, shape):
            return shape

    Noisy.call = Torch.call
    check(make, fit(X, Y))


def _block(kind, x, width):
    rank = len(x.shape)
    if rank == 4:
        return {
            "convolution": lambda: layers.Conv2D(width, 3, padding="same", activation="tanh")(x),
            "strided": lambda: layers.Conv2D(width, 3, strides=2, padding="same")(x),
            "depthwise": lambda: layers.DepthwiseConv2D(2, padding="same")(x),
            "norm": lambda: layers.BatchNormalization(momentum=0.8)(x),
            "pool": lambda: layers.MaxPooling2D(2, padding="same")(x),
            "average": lambda: layers.AveragePooling2D(2, 1)(x) if min(x.shape[1:3]) > 1 else x,
            "residual": lambda: layers.Add()([x, layers.Conv2D(x.shape[-1], 1, kernel_regularizer="l2")(x)]),
            "dense": lambda: layers.Dense(width, use_bias=False)(x),
            "join": lambda: layers.Concatenate()([x, layers.Activation("relu")(x)]),
            "flatten": lambda: layers.Flatten()(x),
        }[kind]()
    return {
        "norm": lambda: layers.LayerNormalization()(x),
        "residual": lambda: layers.Add()([x, layers.Dense(x.shape[-1], activity_regularizer="l2")(x)]),
        "join": lambda: layers.Multiply()([layers.Dense(width, activation="sigmoid")(x), layers.Dense(width)(x)]),
    }.get(kind, lambda: layers.Dense(width, activation="softplus")(x))()


KINDS = ["convolution", "strided", "depthwise", "norm", "pool", "average", "residual", "dense", "join", "flatten"]


@settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    kinds=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 5)), min_size=1, max_size=5),
    weighted=st.booleans(),
    exact=st.booleans(),
    optimizer=st.sampled_from(["sgd", "adam", "nadam"]),
)
def test_small_networks_of_any_layers(kinds, weighted, exact, optimizer):
    def make():
        inputs = keras.Input((8, 8, 3))
        x = inputs
        for kind, width in kinds:
            x = _block(kind, x, width)
        x = x if len(x.shape) == 2 else layers.Flatten()(x)
        model = keras.Model(inputs, layers.Dense(3)(x))
        steps = {"sgd": keras.optimizers.SGD(0.01), "adam": keras.optimizers.Adam(1e-4, epsilon=1e-3)}
        model.compile(steps.get(optimizer, keras.optimizers.Nadam(1e-4, epsilon=1e-3)), crossentropy())
        return model

    weights = np.linspace(0, 2, len(CLASSES)) if weighted else None
    train = fit(IMAGES, CLASSES, sample_weight=weights, validation_data=(IMAGES, CLASSES))
    # Keras' SGD rounds the product of rate and gradient away inside one fused addition
    assert check(make, train, exact=exact and optimizer != "sgd", atol=1e-4) is None


def test_batches_of_ever_new_shapes_are_left_to_keras(monkeypatch):
    monkeypatch.setattr(functions, "_KINDS_OF_BATCHES", 3)

    def train(model):
        return [model.train_on_batch(X[:n], Y[:n]) for n in range(1, 6)]

    assert "more than 3 shapes" in check(perceptron, train)
