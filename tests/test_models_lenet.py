import keras
import pytest

from kmodels.models.lenet import lenet
from tests.equality import check_inference, check_training, copy_weights, images, only_torch
from tests.twins.lenet import lenet as twin_lenet
from tests.twins.weights import draw_weights


@pytest.fixture(params=[1, 3], ids=["1 channel", "3 channels"])
def pair(request):
    model = lenet((32, 32, request.param), 10)
    twin = draw_weights(twin_lenet(request.param), gain=16.0)
    copy_weights(model, twin)
    return model, twin


@pytest.mark.parametrize(("channels", "parameters"), [(3, 83_126), (1, 82_826)])
def test_has_the_reports_number_of_parameters(channels, parameters):
    model = lenet((32, 32, channels), 10)
    twin = twin_lenet(channels)
    assert model.count_params() == sum(p.numel() for p in twin.parameters()) == parameters


@pytest.mark.backend
def test_is_the_listing_in_inference_mode(pair):
    model, twin = pair
    check_inference(model, twin, images(2, model.input_shape[1:]))


@only_torch
def test_is_the_listing_in_training_mode(pair):
    model, twin = pair
    check_training(model, twin, images(8, model.input_shape[1:]))


@pytest.mark.backend
def test_a_softmax_on_top_is_the_printed_network():
    model, twin = lenet((32, 32, 3), 10), draw_weights(twin_lenet(3, softmax=True), gain=16.0)
    copy_weights(model, twin)
    check_inference(keras.Sequential([model, keras.layers.Softmax()]), twin, images(2, (32, 32, 3)))


def test_its_hidden_dense_layers_can_be_wider():
    wide = lenet((32, 32, 1), 10, dense_units=(1200, 840))
    convolutions = 25 * 6 + 6 + 25 * 6 * 16 + 16
    assert wide.count_params() == convolutions + 577 * 1200 + 1201 * 840 + 841 * 10


@pytest.mark.parametrize("units", [(120,), (120, 84, 10), (120, 0), 120])
def test_hidden_dense_layers_are_two(units):
    with pytest.raises(ValueError, match="dense_units: expected two integers, 1 or more"):
        lenet((32, 32, 1), 10, dense_units=units)
