import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodels.models import build
from kmodels.models.densenet import densenet
from tests.equality import (
    check_blocks,
    check_inference,
    check_training,
    copy_weights,
    images,
    in_order,
    only_torch,
    randomize,
)
from tests.twins.densenet import BottleneckLayer, DenseNetBC, SimpleDenseNet, blocks
from tests.twins.weights import draw_weights

TWINS = {
    "densenet_d": SimpleDenseNet,
    "densenet_d_small_stem": lambda: SimpleDenseNet(small_stem=True),
    "densenet_bc_100_12": DenseNetBC,
    "densenet121": lambda: DenseNetBC((6, 12, 24, 16), 32),
}
DEEP = ("densenet_bc_100_12", "densenet121")


def pair(name, side=32):
    model, twin = build(name, (side, side, 3)), draw_weights(TWINS[name]())
    randomize(twin, seed=1)
    copy_weights(model, twin)
    return model, twin


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("densenet_d", 130_602),
        ("densenet_d_small_stem", 122_922),
        ("densenet_bc_100_12", 769_162),
        ("densenet121", 6_956_298),
    ],
)
def test_number_of_parameters(name, parameters):
    model, twin = build(name), TWINS[name]()
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == sum(p.numel() for p in twin.parameters()) == parameters
    statistics = sum(b.numel() for key, b in twin.named_buffers() if "running" in key)
    assert model.count_params() - trainable == statistics


# DenseNet-BC stands for DenseNet-121 on JAX, which takes half a minute to compile one
@pytest.mark.parametrize(
    "name", [n if n == "densenet121" else pytest.param(n, marks=pytest.mark.backend) for n in TWINS]
)
def test_is_the_listing_in_inference_mode(name):
    check_inference(*pair(name), images(2, (32, 32, 3)))


@only_torch
@pytest.mark.parametrize("name", list(TWINS))
def test_is_the_listing_in_training_mode(name):
    side = 16 if name in DEEP else 32
    check_training(*pair(name, side), images(4, (side, side, 3)))


@only_torch
@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP)
def test_is_the_paper_though_deep(name):
    """Layer by layer, and whole with small new channels, which keep rounding from growing."""
    model, twin = pair(name, 16)
    modules, x = in_order(model, twin), images(4, (16, 16, 3))
    parts = blocks(model, twin)
    assert len(parts) == len([m for m in twin.features if hasattr(m, "body") or hasattr(m, "downsample")])
    check_blocks(model, twin, x, parts, modules)
    with torch.no_grad():
        for layer in twin.modules():
            if isinstance(layer, BottleneckLayer):
                layer.body[3].weight.fill_(0.1)
    copy_weights(model, twin)
    check_training(model, twin, x, modules)


def test_the_first_dense_block_of_report_d_sees_8x8_and_the_repaired_one_32x32():
    assert build("densenet_d").get_layer("block1_layer1_concat").output.shape[1:3] == (8, 8)
    assert build("densenet_d_small_stem").get_layer("block1_layer1_concat").output.shape[1:3] == (32, 32)


@settings(max_examples=25)
@given(
    blocks=st.lists(st.just(1), min_size=1, max_size=4),
    stride=st.integers(1, 3),
    pool=st.booleans(),
    kernel=st.sampled_from([1, 3, 7]),
)
def test_the_smallest_image_is_the_smallest_that_passes(blocks, stride, pool, kernel):
    def of(side):
        return densenet(
            (side, side, 1), 2, blocks=blocks, growth=1, bottleneck=0, stem_filters=2,
            stem_kernel=kernel, stem_stride=stride, stem_pool=pool, last_normalize=False,
        )  # fmt: skip

    smallest = stride * (2 if pool else 1) * (2 ** (len(blocks) - 1) - 1) + 1
    assert min(of(smallest).get_layer(f"block{len(blocks)}_layer1_concat").output.shape[1:3]) == 1
    with pytest.raises(ValueError, match=f"input_shape: expected .* {smallest} pixels"):
        of(smallest - 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes: expected an integer, 2 or more. Received: num_classes=1"),
        ({"blocks": ()}, "blocks: expected"),
        ({"blocks": (3, 0)}, "blocks: expected"),
        ({"growth": 0}, "growth: expected an integer, 1 or more"),
        ({"bottleneck": -1}, "bottleneck: expected an integer, 0 or more"),
        ({"transitions": (8,)}, "transitions: expected 2 numbers of channels"),
        ({"transitions": (8, 0)}, "transitions: expected 2 numbers of channels"),
        ({"transitions": 0.0}, r"transitions: expected numbers of channels, or a share in \(0, 1\]"),
        ({"stem_filters": 0}, "stem_filters: expected an integer, 1 or more"),
        ({"stem_kernel": 4}, "stem_kernel: expected an odd number. Received: stem_kernel=4"),
        ({"stem_stride": 0}, "stem_stride: expected an integer, 1 or more"),
        ({"weights": "zeros"}, "weights: expected one of"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        densenet(**{"input_shape": (32, 32, 3), "num_classes": 10, "blocks": (1, 1, 1), **arguments})


@pytest.mark.backend
def test_each_layer_appends_its_channels_behind_all_before_it():
    model = densenet((4, 4, 1), 2, blocks=(2,), growth=3, bottleneck=0, stem_filters=2)
    outputs = [model.get_layer(name).output for name in ("stem", "block1_layer1_concat", "block1_layer2_concat")]
    stem, first, second = map(keras.ops.convert_to_numpy, keras.Model(model.input, outputs)(images(1, (4, 4, 1))))
    assert (stem.shape[-1], first.shape[-1], second.shape[-1]) == (2, 5, 8)
    np.testing.assert_array_equal(first[..., :2], stem)
    np.testing.assert_array_equal(second[..., :5], first)
