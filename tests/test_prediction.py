"""`predict` says what the network says of the pixels that training would have fed it."""

import dataclasses
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

import kmodels
from kmodels.augment import Transform, apply
from kmodels.data.catalog import CATALOG
from kmodels.models import build, takes_stored_images, with_normalization
from kmodels.models.initial_weights import initialize
from kmodels.prediction import Prediction, load_network, predict

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), np.uint8)


@pytest.fixture(scope="module")
def plain():
    model = build("plain_net")
    initialize(model, seed=1)
    return model


@pytest.fixture(scope="module")
def raw(plain):
    return with_normalization(plain, MEAN, STD)


@pytest.fixture(scope="module")
def file(raw, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "raw.keras"
    raw.save(path)
    return path


def probabilities(predictions):
    return np.array([p.probabilities for p in predictions])


@pytest.mark.backend
@pytest.mark.parametrize("resize", ["pad", "bilinear"])
def test_probabilities_are_those_of_the_training_pixels(plain, raw, resize):
    pixels = apply(PICTURES, None, Transform(mean=MEAN, std=STD, image_size=32, resize=resize))
    logits = np.asarray(plain.predict_on_batch(pixels), np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = predict(raw, PICTURES, resize=resize)
    np.testing.assert_allclose(probabilities(found), expected, atol=1e-6)
    assert [p.class_index for p in found] == logits.argmax(axis=1).tolist()
    np.testing.assert_allclose(
        probabilities(predict(plain, PICTURES, mean=MEAN, std=STD, resize=resize)), expected, atol=1e-6
    )


@pytest.mark.backend
def test_a_model_with_normalization_is_saved_and_loaded_without_classes_of_the_package(raw, file):
    loaded = keras.saving.load_model(file, compile=False, safe_mode=True)
    assert takes_stored_images(loaded)
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
    batch = np.zeros((2, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(loaded.predict_on_batch(batch), raw.predict_on_batch(batch))


def test_normalization_does_not_follow_the_data_format_in_force(file, raw):
    x = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    before = raw.predict_on_batch(x)
    keras.config.set_image_data_format("channels_first")
    try:
        after = load_network(file).predict_on_batch(x)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(after, before)


def test_training_with_normalization_inside_trains_the_network_itself():
    inner = build("plain_net")
    initialize(inner, seed=0)
    before = inner.get_weights()[0].copy()
    outer = with_normalization(inner, MEAN, STD, name="mine")
    assert outer.name == "mine"
    assert len(outer.trainable_variables) == len(inner.trainable_variables)
    outer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    outer.train_on_batch(np.full((2, 32, 32, 3), 200, np.uint8), np.array([0, 1]))
    assert not np.array_equal(inner.get_weights()[0], before)


def test_a_path_an_array_and_a_batch_agree(raw, file, tmp_path):
    picture = tmp_path / "a.png"
    Image.fromarray(PICTURES[0]).save(picture)
    whole = predict(file, PICTURES, class_names="cifar10")
    alone = predict(str(file), picture, class_names="cifar10")
    assert isinstance(whole, tuple)
    assert len(whole) == 3
    assert isinstance(alone, Prediction)
    assert alone.class_name == CATALOG["cifar10"].class_names[alone.class_index]
    np.testing.assert_allclose(alone.probabilities, whole[0].probabilities, atol=1e-6)
    assert alone.class_index == predict(raw, PICTURES[0]).class_index == whole[0].class_index
    assert predict(raw, PICTURES[0]).class_name is None
    assert predict(raw, PICTURES[0, :, :, 0]).class_index in range(10)


def test_more_pictures_than_a_batch_come_back_in_order(raw):
    many = np.concatenate([PICTURES] * 12)
    found = probabilities(predict(raw, many))
    np.testing.assert_allclose(found, np.tile(found[:3], (12, 1)), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)


def test_a_prediction_is_a_value():
    answer = Prediction(1, (0.25, 0.75), "cat")
    assert answer == Prediction(1, (0.25, 0.75), "cat")
    assert answer.probability == 0.75
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.class_index = 0


def test_the_public_name_stays_the_function():
    assert kmodels.predict is predict
    assert kmodels.predict is predict  # importing a module of that name would have put it in the function's place


def other_model(kind):
    if kind == "softmax":
        inputs = keras.Input((8, 8, 3))
        return keras.Model(inputs, keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(inputs)))
    if kind == "any size":
        inputs = keras.Input((None, None, 3))
        return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(inputs)))
    if kind == "vectors":
        inputs = keras.Input((8,))
        return keras.Model(inputs, keras.layers.Dense(3)(inputs))
    return keras.Sequential([keras.layers.Dense(3)])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("softmax", "model: expected outputs that are logits, not a softmax's"),
        ("any size", "model: expected a functional keras.Model from"),
        ("vectors", "model: expected a functional keras.Model from"),
        ("not built", "model: expected a functional keras.Model from"),
    ],
)
def test_a_model_that_cannot_be_asked_is_refused(kind, message):
    with pytest.raises(ValueError, match=message):
        predict(other_model(kind), PICTURES, mean=MEAN, std=STD)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"mean": MEAN}, "mean: expected None for a model that takes uint8 images"),
        ({"std": STD}, "std: expected None for a model that takes uint8 images"),
        ({"class_names": ["cat"]}, r"class_names: expected 10 names, .* Received: class_names=\['cat'\]"),
        ({"class_names": "cifar"}, "class_names: expected class names, or a data set out of mnist, "),
        ({"class_names": "cifar100"}, "class_names: expected 10 names"),
        ({"resize": "crop"}, "resize: expected 'pad' or 'bilinear'"),
        ({"image": [[0]]}, "image: expected a path or an array of uint8. Received: image='list'"),
    ],
)
def test_bad_arguments_are_named(raw, kwargs, message):
    with pytest.raises(ValueError, match=message):
        predict(raw, **{"image": PICTURES, **kwargs})


def test_a_network_of_floats_needs_its_constants(plain):
    with pytest.raises(ValueError, match=r"mean: expected 3 numbers for a model that takes floating point.*mean=None"):
        predict(plain, PICTURES)
    with pytest.raises(ValueError, match=r"std: expected 3 numbers .* Received: std=\(1.0,\)"):
        predict(plain, PICTURES, mean=MEAN, std=(1.0,))


def test_weights_that_are_no_numbers_are_told():
    model = with_normalization(build("plain_net"), MEAN, STD)
    model.set_weights([np.full(w.shape, np.nan, "float32") for w in model.get_weights()])
    with pytest.raises(ValueError, match=r"model: expected finite logits\. Received: model='plain_net_uint8'"):
        predict(model, PICTURES)


def test_a_bad_model_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"model: expected a path to a .keras file. Received: model='.*none.keras'"):
        load_network(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("no")
    with pytest.raises(ValueError, match=r"model: expected an undamaged .keras file"):
        load_network(tmp_path / "text.keras")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(ValueError, match="model: expected a file that Keras can load"):
        load_network(tmp_path / "empty.keras")


def test_code_in_a_model_file_is_not_run(tmp_path):
    inputs = keras.Input((8, 8, 3))
    output = keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Lambda(lambda x: x * 2)(inputs)))
    keras.Model(inputs, output).save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match=r"expected a file that Keras can load .*[Ll]ambda"):
        load_network(tmp_path / "lambda.keras")


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5,), STD, r"mean: expected 3 numbers, one a channel. Received: mean=\(0.5,\)"),
        (MEAN, (0.5,), "std: expected 3 numbers, one a channel"),
        (MEAN, (0.5, 0.0, 0.5), "std: expected numbers above 0"),
    ],
)
def test_constants_that_do_not_fit_are_refused(plain, mean, std, message):
    with pytest.raises(ValueError, match=message):
        with_normalization(plain, mean, std)


def test_only_a_network_of_floats_is_given_normalization(raw):
    with pytest.raises(ValueError, match="model: expected one that takes floating point, not uint8"):
        with_normalization(raw, MEAN, STD)
    with pytest.raises(ValueError, match="model: expected a built model"):
        with_normalization(other_model("vectors"), MEAN, STD)
