import keras
import numpy as np
import pytest

from kmodels.models.alexnet import alexnet
from tests.equality import check_inference, check_training, copy_weights, images, only_torch, randomize
from tests.twins.alexnet import alexnet as twin_alexnet
from tests.twins.weights import draw_weights

as_array = keras.ops.convert_to_numpy


def pair(channels, normalize):
    model = alexnet((224, 224, channels), 10, normalize=normalize, dropout=0.0)
    twin = draw_weights(twin_alexnet(channels, drop_rate=0.0, bn=normalize))
    randomize(twin, seed=1)
    copy_weights(model, twin)
    return model, twin


@pytest.mark.parametrize(
    ("channels", "normalize", "parameters"),
    [(3, False, 46_787_978), (1, False, 46_764_746), (3, True, 46_807_114), (1, True, 46_783_882)],
)
def test_has_the_reports_number_of_parameters(channels, normalize, parameters):
    model = alexnet((224, 224, channels), 10, normalize=normalize)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == parameters
    widths = 96 + 256 + 384 + 384 + 256 + 4096 + 4096
    assert model.count_params() - parameters == (2 * widths if normalize else 0)


@pytest.mark.backend
@pytest.mark.parametrize(("channels", "normalize"), [(1, False), (3, True)])
def test_is_the_listing_in_inference_mode(channels, normalize):
    check_inference(*pair(channels, normalize), images(2, (224, 224, channels)))


@only_torch
@pytest.mark.parametrize("normalize", [False, True])
def test_is_the_listing_in_training_mode(normalize):
    # three images: of two the dense layers' batch norm would keep only which of them is larger
    check_training(*pair(3, normalize), images(3, (224, 224, 3)), exactly=True)


@only_torch
@pytest.mark.slow
@pytest.mark.parametrize("normalize", [False, True])
def test_is_the_listing_in_training_mode_in_float32_too(normalize):
    # statistics over three images magnify float32's rounding beyond comparison, those over twelve do not
    check_training(*pair(3, normalize), images(12, (224, 224, 3)))


@pytest.mark.backend
@pytest.mark.parametrize("side", ["before", "after"])
def test_dropout_acts_in_training_mode_only(side):
    model = alexnet((64, 64, 1), 10, stem_padding=2, hidden=8, dropout=0.5, dropout_side=side)
    x = images(4, (64, 64, 1))
    calm, dropped = ([as_array(model(x, training=training)) for _ in range(2)] for training in (False, True))
    assert (calm[0] == calm[1]).all()
    assert (dropped[0] != dropped[1]).any()


@pytest.mark.backend
def test_dropout_after_the_dense_layers_can_silence_them_and_before_them_cannot():
    # only "after" stands between the last hidden layer and the logits, of which it leaves the biases
    farthest = {}
    for side in ("before", "after"):
        model = alexnet((65, 65, 1), 10, hidden=2, dropout=0.999999, dropout_side=side)
        model.get_layer("dense2").bias.assign([1.0, 1.0])
        logits = as_array(model(images(8, (65, 65, 1)), training=True))
        farthest[side] = np.abs(logits - as_array(model.get_layer("logits").bias)).max()
    assert farthest["after"] == 0.0 < farthest["before"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (64, 64, 3)}, "input_shape: expected .* 65 pixels"),
        ({"num_classes": 1}, "num_classes: expected an integer, 2 or more. Received: num_classes=1"),
        ({"dropout": 1.0}, r"dropout: expected a number in \[0, 1\). Received: dropout=1.0"),
        ({"dropout_side": "both"}, "dropout_side: expected 'before' or 'after'. Received: dropout_side='both'"),
        ({"filters": (1, 2, 3)}, "filters: expected five"),
        ({"stem_padding": -1}, "stem_padding: expected an integer, 0 or more"),
        ({"hidden": 0}, "hidden: expected an integer, 1 or more"),
        ({"weights": "zeros"}, "weights: expected one of"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        alexnet(**{"input_shape": (224, 224, 3), "num_classes": 10, "hidden": 4, **arguments})


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_the_smallest_image_is_the_smallest_that_passes(padding):
    side = 67 - 2 * padding
    alexnet((side, side, 1), 10, stem_padding=padding, hidden=4)
    with pytest.raises(ValueError, match=f"{side} pixels"):
        alexnet((side - 1, side, 1), 10, stem_padding=padding, hidden=4)
