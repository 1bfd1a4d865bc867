import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodels.models.vgg import CONFIGURATIONS, vgg
from tests.equality import check_inference, check_training, copy_weights, images, only_torch, randomize
from tests.twins.vgg import VGG
from tests.twins.weights import draw_weights


def pair(configuration, normalize=True, squeeze_excite_after=None, seed=0):
    model = vgg(
        (32, 32, 3), 10, configuration=configuration, normalize=normalize, squeeze_excite_after=squeeze_excite_after
    )
    twin = draw_weights(VGG(configuration, bn=normalize, se=squeeze_excite_after), seed=seed)
    randomize(twin, seed=seed)
    copy_weights(model, twin)
    return model, twin


@pytest.mark.parametrize(
    ("configuration", "normalized", "plain"),
    [
        ("A", 9_231_114, 9_225_610),
        ("A-LRN", 9_231_114, 9_225_610),
        ("B", 9_416_010, 9_410_122),
        ("C", 10_009_674, 10_001_226),
        ("D", 14_728_266, 14_719_818),
        ("E", 20_040_522, 20_029_514),
    ],
)
def test_number_of_parameters(configuration, normalized, plain):
    for normalize, parameters in ((True, normalized), (False, plain)):
        model = vgg((32, 32, 3), 10, configuration=configuration, normalize=normalize)
        twin = VGG(configuration, bn=normalize)
        trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        assert trainable == sum(p.numel() for p in twin.parameters()) == parameters
        statistics = sum(b.numel() for name, b in twin.named_buffers() if "running" in name)
        assert model.count_params() - trainable == statistics


@pytest.mark.parametrize(("place", "parameters"), [("conv", 14_959_058), ("stage", 14_806_118)])
def test_number_of_parameters_with_squeeze_and_excite(place, parameters):
    model = vgg((32, 32, 3), 10, squeeze_excite_after=place)
    twin = VGG("D", se=place)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == sum(p.numel() for p in twin.parameters()) == parameters


@pytest.mark.parametrize(
    ("configuration", "layers"), [("A", 11), ("A-LRN", 11), ("B", 13), ("C", 16), ("D", 16), ("E", 19)]
)
def test_layers_with_weights_as_the_table_counts_them(configuration, layers):
    assert sum(map(len, CONFIGURATIONS[configuration])) + 3 == layers  # the table's head has three


@pytest.mark.backend
@pytest.mark.parametrize("configuration", list(CONFIGURATIONS))
def test_is_the_table_in_inference_mode(configuration):
    check_inference(*pair(configuration), images(2, (32, 32, 3)))


@pytest.mark.backend
@pytest.mark.parametrize(
    ("configuration", "normalize", "place"),
    [("A-LRN", False, None), ("D", False, None), ("D", True, "conv"), ("D", True, "stage"), ("A", False, "conv")],
)
def test_is_the_table_in_inference_mode_with_options(configuration, normalize, place):
    check_inference(*pair(configuration, normalize, place), images(2, (32, 32, 3)))


@only_torch
@pytest.mark.parametrize(
    ("configuration", "normalize", "place"),
    [
        ("A", True, None),
        ("A-LRN", False, None),
        ("B", False, None),
        ("B", True, None),
        ("C", True, None),
        ("D", True, None),
        ("D", True, "conv"),
        ("D", True, "stage"),
        ("E", True, None),
    ],
)
def test_is_the_table_in_training_mode(configuration, normalize, place):
    check_training(*pair(configuration, normalize, place), images(4, (32, 32, 3)))


@pytest.mark.backend
def test_dropout_acts_behind_the_hidden_dense_layers_in_training_mode_only():
    model = vgg((32, 32, 3), 10, configuration="A", hidden=(64, 64), dropout=0.5)
    x = images(4, (32, 32, 3))
    calm, dropped = (
        [keras.ops.convert_to_numpy(model(x, training=training)) for _ in range(2)] for training in (False, True)
    )
    assert (calm[0] == calm[1]).all()
    assert (dropped[0] != dropped[1]).any()


@settings(max_examples=10)
@given(height=st.integers(32, 100), width=st.integers(32, 100))
def test_five_poolings_halve_any_size_that_is_let_in(height, width):
    model = vgg((height, width, 1), 2, configuration="A", normalize=False)
    assert model.get_layer("stage5_pool").output.shape[1:] == (height // 32, width // 32, 512)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (31, 32, 3)}, "input_shape: expected .* 32 pixels"),
        ({"num_classes": 1}, "num_classes: expected an integer, 2 or more. Received: num_classes=1"),
        ({"configuration": "F"}, "configuration: expected one of A, A-LRN, B, C, D, E. Received: configuration='F'"),
        ({"squeeze_excite_after": "block"}, "squeeze_excite_after: expected 'conv', 'stage' or None"),
        ({"reduction": 65}, "reduction: expected an integer from 1 to 64, the fewest channels. Received: reduction=65"),
        ({"reduction": 0}, "reduction: expected an integer from 1 to 64"),
        ({"dropout": -0.1}, r"dropout: expected a number in \[0, 1\)"),
        ({"hidden": (4096, 0)}, "hidden: expected numbers of units, 1 or more"),
        ({"weights": "zeros"}, "weights: expected one of"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        vgg(**{"input_shape": (32, 32, 3), "num_classes": 10, **arguments})
