import pytest

from kmodels.models.plain_net import plain_net
from tests.equality import check_inference, check_training, copy_weights, images, only_torch
from tests.twins.plain_net import Net
from tests.twins.weights import draw_weights


@pytest.fixture
def pair():
    model, twin = plain_net((32, 32, 3), 10), draw_weights(Net())
    copy_weights(model, twin)
    return model, twin


def test_has_the_reports_number_of_parameters(pair):
    assert [p.count_params() for p in pair[:1]] == [sum(p.numel() for p in pair[1].parameters())] == [62_006]


@pytest.mark.backend
def test_is_the_listing_in_inference_mode(pair):
    check_inference(*pair, images(2, (32, 32, 3)))


@only_torch
def test_is_the_listing_in_training_mode(pair):
    check_training(*pair, images(8, (32, 32, 3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((15, 16, 3), 10), "input_shape: expected .* 16 pixels"),
        (((32, 32), 10), "input_shape: expected"),
        (((32, 32, 3), 1), "num_classes: expected an integer, 2 or more. Received: num_classes=1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        plain_net(*arguments)
