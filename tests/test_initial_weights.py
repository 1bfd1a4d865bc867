"""Initial weights: the same bytes on every backend, paired by path, distributed as the initializer says."""

import hashlib

import keras
import numpy as np
import pytest
from keras import initializers

from kmodels.models import lenet
from kmodels.models.initial_weights import draw, generator, initialize, layer_paths, seed_dropout


def weights(model):
    return {f"{path}/{v.name}": np.asarray(v.numpy()) for path, layer in layer_paths(model) for v in layer.weights}


def started(seed=0, **arguments):
    model = lenet((32, 32, 1), 10, **arguments)
    initialize(model, seed)
    return model


@pytest.mark.backend
def test_lenet_starts_from_the_same_bytes_on_every_backend():
    digest = hashlib.sha256()
    for path, values in sorted(weights(started()).items()):
        digest.update(path.encode() + values.astype("<f4").tobytes())
    assert digest.hexdigest()[:16] == "81c21c782285da2a"


def test_networks_that_share_a_layer_share_its_start_whatever_was_built_before():
    keras.layers.Dense(3)  # moves Keras' own name counters
    with_dropout, colour = weights(started(dropout=0.5)), weights(lenet_of_colour())
    plain = weights(started())
    for path, values in plain.items():
        np.testing.assert_array_equal(values, with_dropout[path])
        if path != "conv1/kernel" and path != "conv1/bias":
            np.testing.assert_array_equal(values, colour[path])
    assert not np.array_equal(plain["dense1/kernel"], weights(started(seed=1))["dense1/kernel"])


def lenet_of_colour():
    model = lenet((32, 32, 3), 10)
    initialize(model, 0)
    return model


@pytest.mark.parametrize(
    ("initializer", "sd", "bound"),
    [
        (initializers.GlorotUniform(), np.sqrt(2 / (600 + 400)), np.sqrt(6 / (600 + 400))),
        (initializers.HeNormal(), np.sqrt(2 / 600), 2 * np.sqrt(2 / 600) / 0.87962566),
        (initializers.LecunUniform(), np.sqrt(1 / 600), np.sqrt(3 / 600)),
        (initializers.VarianceScaling(1 / 3, "fan_in", "uniform"), np.sqrt(1 / 3 / 600), np.sqrt(1 / 600)),
        (initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"), np.sqrt(2 / 400), np.inf),
        (initializers.RandomNormal(0.0, 0.01), 0.01, np.inf),
        (initializers.TruncatedNormal(0.0, 0.01), 0.01 * 0.87962566, 0.02),
        (initializers.RandomUniform(-0.2, 0.2), 0.2 / np.sqrt(3), 0.2),
    ],
)
def test_draws_have_the_spread_and_range_of_their_initializer(initializer, sd, bound):
    values = draw(initializer, (600, 400), generator("test"), "w")
    assert values.dtype == np.float32
    assert abs(values.mean()) < 4 * sd / np.sqrt(values.size)
    np.testing.assert_allclose(values.std(), sd, rtol=0.01)  # 240,000 draws: 0.15 % standard error
    assert np.abs(values).max() <= bound * (1 + 1e-6)


def test_constants_are_constant_and_unknown_initializers_are_refused():
    np.testing.assert_array_equal(draw(initializers.Ones(), (2,), generator(), "w"), [1, 1])
    np.testing.assert_array_equal(draw(initializers.Zeros(), (2,), generator(), "w"), [0, 0])
    np.testing.assert_array_equal(draw(initializers.Constant(0.5), (2,), generator(), "w"), [0.5, 0.5])
    with pytest.raises(ValueError, match="Received: Orthogonal at dense/kernel"):
        draw(initializers.Orthogonal(), (2, 2), generator(), "dense/kernel")


@pytest.mark.backend
def test_dropout_masks_depend_on_seed_and_fold_and_repeat():
    model = started(dropout=0.5)
    ones = np.ones((4, 120), "float32")

    def mask(seed, fold):
        seed_dropout(model, seed, fold)
        return keras.ops.convert_to_numpy(model.get_layer("dropout")(ones, training=True))

    np.testing.assert_array_equal(mask(0, 0), mask(0, 0))
    assert not np.array_equal(mask(0, 0), mask(0, 1))
    assert not np.array_equal(mask(0, 0), mask(1, 0))


def test_members_of_a_nested_model_start_apart():
    inputs = keras.Input((32, 32, 1))
    members = [lenet((32, 32, 1), 10, name=f"member{i}") for i in range(2)]
    model = keras.Model(inputs, keras.layers.Average(name="mean")([member(inputs) for member in members]))
    initialize(model, 0)
    paths = weights(model)
    assert len(paths) == 2 * len(weights(members[0]))
    assert not np.array_equal(paths["member0/dense1/kernel"], paths["member1/dense1/kernel"])
