import keras
import numpy as np
import pytest

from kmodels.models.convnet import convnet
from tests.equality import check_inference, check_training, copy_weights, images, only_torch, randomize
from tests.twins.convnet import MyConvNet
from tests.twins.weights import draw_weights


@pytest.fixture
def pair():
    model, twin = convnet((28, 28, 1), 10), draw_weights(MyConvNet())
    randomize(twin, seed=1)
    copy_weights(model, twin)
    return model, twin


def test_has_the_reports_number_of_parameters(pair):
    model, twin = pair
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == sum(p.numel() for p in twin.parameters()) == 5_070_832
    assert model.count_params() - trainable == 2 * (64 + 128)


@pytest.mark.backend
def test_is_the_listing_in_inference_mode(pair):
    check_inference(*pair, images(2, (28, 28, 1)))


@only_torch
def test_is_the_listing_in_training_mode(pair):
    check_training(*pair, images(8, (28, 28, 1)))


@only_torch
def test_one_image_alone_is_normalised_by_itself_in_training_mode(pair):
    # report C tests so: its test never leaves training mode, and images go through one at a time
    check_training(*pair, images(1, (28, 28, 1)))


@pytest.mark.backend
def test_a_softmax_on_top_is_the_printed_network():
    model, twin = convnet((28, 28, 1), 10), draw_weights(MyConvNet(softmax=True))
    copy_weights(model, twin)
    check_inference(keras.Sequential([model, keras.layers.Softmax()]), twin, images(2, (28, 28, 1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 28, 1), 10), "input_shape: expected .* 4 pixels"),
        (((28, 28, 1), 0), "num_classes: expected an integer, 2 or more. Received: num_classes=0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        convnet(*arguments)
