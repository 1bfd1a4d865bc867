"""`accelerate`: every kind of model, layer and loss trains as Keras trains it, or is refused with one warning."""

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops

from tests.accelerated import check, convnet, crossentropy, features, fit, images, only_torch

pytestmark = [only_torch]

X, Y = features()
IMAGES, CLASSES = images()
EXACT = pytest.mark.parametrize("exact", [False, True], ids=["kernels", "exact"])


def over_features(*stack, loss=None, **options):
    """Returns what makes a compiled network with some layers, made anew, before the last dense one."""

    def make():
        inputs = keras.Input((6,))
        x = inputs
        for layer in stack:
            x = layer()(x)
        model = keras.Model(inputs, layers.Dense(3)(x))
        model.compile(keras.optimizers.SGD(0.1), loss or crossentropy(), **options)
        return model

    return make


def over_images(*stack):
    """Returns what makes a compiled network of some layers, made anew, for images."""

    def make():
        inputs = keras.Input((8, 8, 3))
        x = inputs
        for layer in stack:
            x = layer()(x)
        model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
        model.compile(keras.optimizers.SGD(0.1), crossentropy())
        return model

    return make


@EXACT
@pytest.mark.parametrize("as_dictionary", [False, True])
def test_several_inputs_and_outputs(as_dictionary, exact):
    def make():
        a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
        x = layers.Concatenate()([layers.Dense(4, activation="relu")(a), layers.Dense(3)(b)])
        c, d = layers.Dense(3, name="c")(x), layers.Dense(1, name="d")(x)
        model = keras.Model({"a": a, "b": b}, {"c": c, "d": d}) if as_dictionary else keras.Model([a, b], [c, d])
        pair = (lambda p, q: {"c": p, "d": q}) if as_dictionary else (lambda p, q: [p, q])
        model.compile(
            "sgd", pair(crossentropy(), "mse"), loss_weights=pair(0.3, 2.0), metrics=pair(["accuracy"], ["mae"])
        )
        return model

    def train(model):
        if as_dictionary:
            x, y = {"a": X, "b": X * 2}, {"c": Y, "d": X[:, :1]}
            weights = {"c": np.linspace(0, 1, 24), "d": np.ones(24)}
        else:
            x, y, weights = [X, X * 2], [Y, X[:, :1]], [np.linspace(0, 1, 24), np.ones(24)]
        return [fit(x, y, sample_weight=weights)(model).history, fit(x, y)(model).history, model.predict(x, verbose=0)]

    assert check(make, train, exact=exact) is None


class AddsLoss(layers.Layer):
    def call(self, inputs):
        self.add_loss(0.1 * ops.mean(ops.square(inputs)))
        return inputs


@EXACT
@pytest.mark.parametrize(
    "make",
    [
        over_features(lambda: layers.Dense(5), AddsLoss, AddsLoss),
        over_features(lambda: layers.Dense(5, kernel_regularizer="l2", bias_regularizer="l1")),
        over_features(lambda: layers.Dense(5, activity_regularizer=keras.regularizers.L2(0.1))),
        over_features(lambda: layers.ActivityRegularization(l1=0.1)),
        over_features(lambda: layers.Dense(6, kernel_regularizer=keras.regularizers.OrthogonalRegularizer(0.1))),
        lambda: convnet(),
        over_features(
            lambda: layers.Dense(4), lambda: keras.Sequential([layers.Dense(3), layers.BatchNormalization()])
        ),
        over_features(
            lambda: layers.Lambda(lambda x: x * ops.convert_to_tensor(np.linspace(1, 2, 6).astype("float32")))
        ),
        over_features(lambda: layers.UnitNormalization(), lambda: layers.LayerNormalization(), layers.PReLU),
        over_features(
            lambda: layers.Reshape((2, 3)),
            lambda: layers.LSTM(4),
            lambda: layers.RepeatVector(2),
            lambda: layers.GRU(3),
        ),
        over_features(
            lambda: layers.Reshape((2, 3)), lambda: layers.Dense(4), lambda: layers.Conv1D(3, 2), layers.Flatten
        ),
        over_features(lambda: layers.BatchNormalization(momentum=0.5), lambda: layers.BatchNormalization(scale=False)),
        over_features(lambda: layers.Reshape((2, 3)), lambda: layers.BatchNormalization(axis=1), layers.Flatten),
        over_images(lambda: layers.SeparableConv2D(4, 3), lambda: layers.DepthwiseConv2D(3, padding="same")),
        over_images(lambda: layers.Conv2D(6, 3, strides=2, padding="same", groups=3, dilation_rate=1)),
        over_images(lambda: layers.Conv2D(4, (3, 2), padding="same", dilation_rate=(1, 2)), layers.MaxPooling2D),
        over_images(
            lambda: layers.Conv2D(4, 4, padding="same", activation="gelu"), lambda: layers.MaxPooling2D(3, 2, "same")
        ),
        over_images(lambda: layers.Conv2DTranspose(4, 3, strides=2), lambda: layers.AveragePooling2D(3, 1, "same")),
        over_images(
            lambda: layers.BatchNormalization(axis=1), lambda: layers.ZeroPadding2D(1), lambda: layers.UpSampling2D(2)
        ),
        over_images(
            lambda: layers.GroupNormalization(3), lambda: layers.Permute((3, 1, 2)), lambda: layers.MaxPooling2D(2)
        ),
    ],
    ids=[
        *("add_loss", "weights-regularized", "activity-regularized", "activity-layer", "orthogonal", "convolutions"),
        *("nested", "numpy-constant", "normalizations", "recurrent", "rank-3", "statistics", "axis-1", "separable"),
        *("groups", "dilated", "even-kernel", "transposed", "axis-height", "permuted"),
    ],
)
def test_layers(make, exact):
    x, y = (X, Y) if make().input_shape == (None, 6) else (IMAGES, CLASSES)
    assert check(make, fit(x, y, validation_data=(x, y)), exact=exact) is None


@EXACT
def test_shared_layers_and_a_residual_connection(exact):
    def make():
        inputs = keras.Input((8, 8, 3))
        shared, norm = layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()
        x = norm(shared(norm(shared(inputs)))) + inputs
        model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
        model.compile("sgd", crossentropy())
        return model

    assert check(make, fit(IMAGES, CLASSES), exact=exact) is None


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = layers.Dense(5, activation="relu"), layers.Dense(3)

    def call(self, inputs):
        return self.last(self.first(inputs))


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        return loss + 0.1 * ops.mean(ops.square(y_pred)) if training else loss


class OwnMetrics(keras.Model):
    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logs = super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        return {**logs, "size": ops.mean(ops.abs(y_pred))}


class OwnTrainStep(keras.Model):
    def train_step(self, data):
        logs = super().train_step(data)
        return {**logs, "mine": 1.0}


class OwnTestStep(keras.Model):
    def test_step(self, data):
        return {**super().test_step(data), "mine": 1.0}


def of_kind(kind):
    def make():
        inputs = keras.Input((6,))
        model = kind(inputs, layers.Dense(3)(layers.Dense(4, activation="tanh")(inputs)))
        model.compile("sgd", crossentropy(), metrics=["accuracy"])
        return model

    return make


def _subclassed():
    model = Subclassed()
    model(X)
    model.compile("sgd", crossentropy(), metrics=["accuracy"])
    return model


def _sequential():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(3)])
    model.compile("sgd", crossentropy(), metrics=["accuracy"])
    return model


@EXACT
@pytest.mark.parametrize(
    "make, cause",
    [
        (_subclassed, None),
        (_sequential, None),
        (of_kind(OwnLoss), None),
        (of_kind(OwnMetrics), None),
        (of_kind(OwnTrainStep), "train_step of its own"),
        (of_kind(OwnTestStep), "test_step of its own"),
    ],
    ids=["subclassed", "sequential", "own-loss", "own-metrics", "own-train-step", "own-test-step"],
)
def test_kinds_of_models(make, cause, exact):
    found = check(make, fit(X, Y, validation_data=(X, Y)), exact=exact)
    assert found is None if cause is None else cause in found


@pytest.mark.parametrize("first", ["masking", "embedding"])
def test_masks_reach_the_loss(first):
    def make():
        inputs = keras.Input((4, 2) if first == "masking" else (4,))
        x = layers.Masking(0.0)(inputs) if first == "masking" else layers.Embedding(5, 3, mask_zero=True)(inputs)
        model = keras.Model(inputs, layers.Dense(3)(layers.Dense(4)(x)))
        model.compile(keras.optimizers.SGD(0.1), crossentropy(), metrics=["accuracy"], weighted_metrics=["accuracy"])
        return model

    generator = np.random.default_rng(0)
    x = generator.integers(0, 5, (12, 4))
    x = x if first == "embedding" else np.stack([x, x], -1).astype("float32")
    y = generator.integers(0, 3, (12, 4))
    assert check(make, fit(x, y)) is None
    assert check(make, fit(x, y, sample_weight=generator.uniform(size=(12, 4)))) is None


class RawTensor(layers.Layer):
    def build(self, shape):
        self.scale = torch.tensor([2.0])
        super().build(shape)

    def call(self, inputs):
        return inputs * self.scale.to(inputs.device)


class Branches(layers.Layer):
    def call(self, inputs):
        return inputs * 2 if ops.mean(inputs) > 0 else inputs


class Untracked(layers.Layer):
    """A value that is no variable, counted up in every step."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs / self.calls


class Remembers(layers.Layer):
    def call(self, inputs):
        self.last = inputs
        return inputs


@pytest.mark.parametrize(
    "layer, words",
    [
        (RawTensor, "no variable"),
        (Branches, "host"),
        (Untracked, "calls"),
        (Remembers, "last"),
        (lambda: layers.GaussianNoise(0.1, seed=3), ""),
        (lambda: layers.Dropout(0.5, seed=3, noise_shape=(None, 1)), ""),
        (lambda: layers.AlphaDropout(0.3, seed=3), ""),
    ],
    ids=["tensor", "branches", "counter", "remembers", "noise", "noise-shape", "alpha-dropout"],
)
def test_what_cannot_be_recorded_is_trained_by_keras(layer, words):
    cause = check(over_features(layer), fit(X, Y))
    assert words in cause
