"""`accelerate`: whole numbers, booleans and floats of another width than a layer's are left to Keras' operations."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.accelerated import check, crossentropy, fit, only_torch

pytestmark = [only_torch]

COUNTS = np.random.default_rng(0).integers(0, 9, (48, 8, 8, 3))
FLOATS = np.random.default_rng(1).normal(size=(48, 5)).astype("float32")
CLASSES = np.random.default_rng(2).integers(0, 3, 48)
BLOCKS = {
    "dense": lambda x: layers.Dense(6, activation="relu")(layers.Flatten()(x)),
    "dense on images": lambda x: layers.Flatten()(layers.Dense(2)(x)),
    "batch normalization": lambda x: layers.Flatten()(layers.BatchNormalization()(x)),
    "batch normalization of features": lambda x: layers.BatchNormalization()(layers.Flatten()(x)),
    "maximum of counts": lambda x: layers.Dense(4)(layers.Flatten()(layers.MaxPooling2D()(x))),
    "zeros around counts": lambda x: layers.BatchNormalization()(layers.Flatten()(layers.ZeroPadding2D(1)(x))),
    "mean of counts": lambda x: layers.BatchNormalization()(layers.GlobalAveragePooling2D()(x)),
    "product of counts": lambda x: layers.BatchNormalization()(layers.Flatten()(layers.Multiply()([x, x]))),
}


def compiled(inputs, outputs):
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), crossentropy(), metrics=["accuracy"])
    return model


@pytest.mark.parametrize(
    ("dtype", "block"),
    [
        (dtype, block)
        for dtype in ("int32", "uint8", "bool", "int64")
        for block in BLOCKS
        if (dtype, block) != ("bool", "maximum of counts")  # which PyTorch cannot take
    ],
)
def test_whole_numbers_into_layers_that_know_floats(dtype, block):
    def make():
        inputs = keras.Input(COUNTS.shape[1:], dtype=dtype)
        return compiled(inputs, layers.Dense(3)(BLOCKS[block](inputs)))

    counts = COUNTS % 2 if dtype == "bool" else COUNTS
    train = fit(counts.astype(dtype), CLASSES, batch_size=8, epochs=3)
    assert check(make, train, atol=1e-3) is None


def test_counts_beside_floats():
    def make():
        counts, floats = keras.Input((4,), dtype="int32"), keras.Input((5,))
        both = layers.Concatenate()([layers.BatchNormalization()(counts), floats])
        return compiled([counts, floats], layers.Dense(3)(layers.Concatenate()([both, counts])))

    train = fit([COUNTS[:, 0, 0, :1].repeat(4, 1), FLOATS], CLASSES, batch_size=8, epochs=4)
    assert check(make, train, atol=1e-3) is None


@pytest.mark.parametrize("kind", ["dense", "batch normalization"])
def test_floats_that_a_layer_does_not_cast(kind):
    def make():
        inputs = keras.Input((5,), dtype="float64")
        layer = layers.Dense(4, autocast=False) if kind == "dense" else layers.BatchNormalization(autocast=False)
        return compiled(inputs, layers.Dense(3)(layer(inputs)))

    check(make, fit(FLOATS.astype("float64"), CLASSES, batch_size=8), atol=1e-3)


def test_an_edge_around_counts_is_not_made_one_with_what_follows():
    def make():
        inputs = keras.Input((8, 8, 3), dtype="int32")
        pooled = layers.MaxPooling2D(3, 1, padding="same", data_format="channels_last")(inputs)
        pooled = layers.MaxPooling2D(1, 2, data_format="channels_last")(pooled)
        return compiled(inputs, layers.Dense(3)(layers.BatchNormalization()(layers.Flatten()(pooled))))

    assert check(make, fit(COUNTS.astype("int32"), CLASSES, batch_size=8, epochs=3), atol=1e-3) is None
