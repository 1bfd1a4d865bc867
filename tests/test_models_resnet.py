import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kmodels.models import build, resnet
from kmodels.models.blocks import max_pool
from tests.equality import (
    check_blocks,
    check_inference,
    check_training,
    copy_weights,
    images,
    only_torch,
    randomize,
    relative,
)
from tests.twins import resnet as twins
from tests.twins import resnet_layers

A, SMALL = (64, 64, 3), (16, 16, 3)
BASIC, BOTTLENECK, STRIDE_ON_3X3 = twins.BasicBlock, twins.Bottleneck, twins.StrideOn3x3
LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def twin_a(depth):
    return twins.ResNet(BASIC if depth < 50 else BOTTLENECK, LAYERS[depth])


def twin_small(depth, **kwargs):
    return twins.ResNet(BASIC if depth < 50 else STRIDE_ON_3X3, LAYERS[depth], stem="small", **kwargs)


def twin_cifar(depth, se=False):
    return twins.ThreeStageResNet((depth - 2) // 6, se=se, option_a=True)


# preset -> (image shape, arguments changed to fit it, twin); report E's listing builds one block more than it is told
NETWORKS = {
    "resnet18_a": (A, {}, lambda: twin_a(18)),
    "resnet34_a": (A, {}, lambda: twin_a(34)),
    "resnet18": (SMALL, {}, lambda: twin_small(18)),
    "resnet34": (SMALL, {}, lambda: twin_small(34)),
    "se_resnet18": (SMALL, {}, lambda: twin_small(18, se=True)),
    "resnet18_pooled": (SMALL, {}, lambda: twin_small(18, pooled=True)),
    "resnet18_flatten": (SMALL, {}, lambda: twin_small(18, flatten=2 * 2)),
    "resnet14_d": (SMALL, {}, lambda: twins.ThreeStageResNet()),
    "plain14_d": (SMALL, {}, lambda: twins.ThreeStageResNet(skip=False)),
    "se_resnet14_d": (SMALL, {}, lambda: twins.ThreeStageResNet(se=True)),
    "resnet18_e": (SMALL, {}, lambda: twins.ResNetE([1, 1, 1, 1])),
    "resnet18_e_no_stem_bn": (SMALL, {}, lambda: twins.ResNetE([1, 1, 1, 1], stem_bn=False)),
    "resnet18_e_large_stem": ((32, 32, 3), {}, lambda: twins.ResNetE([1, 1, 1, 1], kernel=7, stride=2)),
    "resnet26_e": (SMALL, {}, lambda: twins.ResNetE([2, 2, 2, 2])),
    "resnet34_e": (SMALL, {}, lambda: twins.ResNetE([3, 3, 3, 3])),
    "resnet20": (SMALL, {}, lambda: twin_cifar(20)),
    "resnet32": (SMALL, {}, lambda: twin_cifar(32)),
    "se_resnet20": (SMALL, {}, lambda: twin_cifar(20, se=True)),
    "wide_resnet28_10": (
        SMALL,
        {"depth": 16, "widths": (32, 64, 128)},  # the same network, shallower and narrower
        lambda: twins.WideResNet(16, 2),
    ),
}
DEEP = {
    "resnet50_a": (A, {}, lambda: twin_a(50)),
    "resnet50": (SMALL, {}, lambda: twin_small(50)),
    "resnet56": (SMALL, {}, lambda: twin_cifar(56)),
}
DEEPEST = {
    "se_resnet56": (SMALL, {}, lambda: twin_cifar(56, se=True)),
    "resnet101_a": (A, {}, lambda: twin_a(101)),
    "resnet152_a": (A, {}, lambda: twin_a(152)),
    "resnet101": (SMALL, {}, lambda: twin_small(101)),
    "resnet152": (SMALL, {}, lambda: twin_small(152)),
    "resnet110": (SMALL, {}, lambda: twin_cifar(110)),
    "se_resnet110": (SMALL, {}, lambda: twin_cifar(110, se=True)),
}
ALL = NETWORKS | DEEP | DEEPEST
# one of each kind of layer, for every backend
EVERYWHERE = (
    "resnet18_a", "se_resnet14_d", "plain14_d", "resnet18_pooled", "resnet18_flatten", "resnet18_e_large_stem",
    "resnet20", "wide_resnet28_10",
)  # fmt: skip


def pair(name):
    shape, changes, make_twin = ALL[name]
    torch.manual_seed(0)
    model, twin = build(name, shape, 10, **changes), make_twin()
    randomize(twin, seed=0)
    modules = resnet_layers.modules(model, twin)
    copy_weights(model, twin, modules)
    return model, twin, modules


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.backend) if n in EVERYWHERE else n for n in NETWORKS]
)
def test_is_its_twin_in_inference_mode(name):
    model, twin, _ = pair(name)
    check_inference(model, twin, images(2, model.input_shape[1:]))


@only_torch
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "resnet34_e" else n for n in NETWORKS]
)
def test_is_its_twin_in_training_mode(name):
    model, twin, modules = pair(name)
    check_training(model, twin, images(4, model.input_shape[1:]), modules)


@only_torch
@pytest.mark.parametrize("name", [*DEEP, *(pytest.param(name, marks=pytest.mark.slow) for name in DEEPEST)])
def test_is_its_twin_though_deep(name):
    """Whole, block by block, and whole again with small residual branches, which keep rounding from growing."""
    model, twin, modules = pair(name)
    x = images(4, model.input_shape[1:])
    check_inference(model, twin, x[:2])
    check_blocks(model, twin, x, resnet_layers.blocks(model, twin), modules)
    check_training(model, twin, x, modules)
    with torch.no_grad():
        for block in twin.modules():
            if hasattr(block, "conv2"):
                (block.bn3 if hasattr(block, "bn3") else block.bn2).weight.fill_(0.1)
    copy_weights(model, twin, modules)
    check_training(model, twin, x, modules)


@pytest.mark.slow
@only_torch
def test_wide_resnet_is_its_twin_at_full_size():
    torch.manual_seed(0)
    model, twin = build("wide_resnet28_10", SMALL, 10), twins.WideResNet(28, 10)
    randomize(twin, seed=0)
    modules = resnet_layers.modules(model, twin)
    copy_weights(model, twin, modules)
    x = images(4, SMALL)
    check_inference(model, twin, x)
    check_training(model, twin, x, modules)


@only_torch
def test_running_variance_is_the_biased_one_where_pytorch_takes_the_unbiased():
    x = images(2, (2, 2, 1))
    layer = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    layer(x, training=True)
    twin = nn.BatchNorm2d(1)
    twin(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    variance = float(x.var())
    assert float(layer.moving_variance.numpy()[0]) == pytest.approx(0.9 + 0.1 * variance, abs=1e-6)
    assert twin.running_var.item() == pytest.approx(0.9 + 0.1 * variance * 8 / 7, abs=1e-6)


@pytest.mark.backend
@settings(max_examples=30)
@given(height=st.integers(3, 17), width=st.integers(3, 17), ceil_mode=st.booleans(), seed=st.integers(0, 99))
def test_max_pool_has_pytorchs_padding_and_rounding(height, width, ceil_mode, seed):
    padding = 0 if ceil_mode else 1
    inputs = keras.Input((height, width, 2))
    model = keras.Model(inputs, max_pool(inputs, 3, 2, name="pool", padding=padding, ceil_mode=ceil_mode, signed=True))
    x = images(2, (height, width, 2), seed) - 3.0
    expected = nn.MaxPool2d(3, 2, padding=padding, ceil_mode=ceil_mode)(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    actual = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_array_equal(actual, expected.numpy().transpose(0, 2, 3, 1))


def test_an_unsigned_max_pool_is_the_same_after_a_relu():
    inputs = keras.Input((9, 8, 2))
    x = np.maximum(images(2, (9, 8, 2)), 0.0)
    results = [
        keras.ops.convert_to_numpy(keras.Model(inputs, max_pool(inputs, 3, 2, name="p", padding=1, signed=signed))(x))
        for signed in (False, True)
    ]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("depth", "shortcut", "millions"),
    [(20, "pad", 0.27), (32, "pad", 0.46), (56, "pad", 0.85), (110, "pad", 1.7), (20, "projection", 0.27)],
)
def test_small_resnets_have_the_papers_number_of_parameters(depth, shortcut, millions):
    model = build(f"resnet{depth}", shortcut=shortcut)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == pytest.approx(1e6 * millions, rel=0.02)
    assert (shortcut == "projection") == any("shortcut_bn" in layer.name for layer in model.layers)


def test_shortcut_without_weights_adds_zero_channels_behind():
    model = resnet(SMALL, 10, blocks_per_stage=1, widths=(4, 8), shortcut="pad")
    probe = keras.Model(
        model.input, [model.get_layer(n).output for n in ("stage1_block1_relu", "stage2_block1_shortcut")]
    )
    before, after = (keras.ops.convert_to_numpy(y) for y in probe(images(2, SMALL)))
    np.testing.assert_array_equal(after[..., :4], before[:, ::2, ::2])
    assert after.shape == (2, 8, 8, 8) and not after[..., 4:].any()


@pytest.mark.backend
def test_dropout_acts_on_the_pooled_features_in_training_only():
    model = build("resnet18_e", SMALL, 10, blocks_per_stage=1, dropout=0.8)
    x = images(4, SMALL)
    probe = keras.Model(model.input, model.get_layer("dropout").output)
    kept = keras.ops.convert_to_numpy(probe(x, training=True))
    assert 0.7 < (kept == 0.0).mean() < 0.9
    calm = [keras.ops.convert_to_numpy(model(x, training=False)) for _ in range(2)]
    assert relative(*calm, least=1.0) == 0.0


def test_squeeze_excite_gates_lie_between_0_and_1():
    model = build("se_resnet14_d", SMALL)
    gates = [layer.output for layer in model.layers if layer.name.endswith("_se_expand")]
    assert [g.shape for g in gates] == [(None, 1, 1, w) for w in (16, 16, 32, 32, 64, 64)]
    for values in keras.Model(model.input, gates)(images(2, SMALL)):
        values = keras.ops.convert_to_numpy(values)
        assert 0.0 < values.min() < values.max() < 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 19}, "depth: expected one of 18, 34, 50, 101, 152. Received: depth=19"),
        ({"depth": 50, "block": "basic"}, "depth: expected one of 18, 34. Received: depth=50"),
        ({"depth": 18, "block": "preactivation"}, r"depth: expected None \(blocks_per_stage\)"),
        ({"depth": 21, "widths": (16, 32, 64)}, r"depth: expected 6n \+ 2"),
        ({"depth": 4, "widths": (16, 32, 64), "block": "preactivation"}, r"depth: expected 6n \+ 4"),
        ({"depth": 20, "widths": (16, 32)}, "depth: expected None"),
        ({"depth": 20, "widths": (16, 32, 64), "block": "bottleneck"}, "block: expected basic or preactivation"),
        ({"depth": 18, "blocks_per_stage": 2}, "depth: expected None together with blocks_per_stage"),
        ({"blocks_per_stage": (2, 2)}, "blocks_per_stage: expected a number or 4 numbers"),
        ({"blocks_per_stage": 0}, "blocks_per_stage: expected a number or 4 numbers"),
        (
            {"block": "dense"},
            "block: expected None or one of basic, bottleneck, preactivation. Received: block='dense'",
        ),
        ({"widths": ()}, "widths: expected channels of each stage"),
        ({"widths": (16, 24, 64, 64), "shortcut": "pad"}, "widths: expected multiples of 16"),
        ({"stem_pool": "max"}, "stem_pool: expected one of None, 'ceil', 'padded'. Received: stem_pool='max'"),
        ({"stem_kernel": 4}, "stem_kernel: expected an odd number"),
        ({"stem_stride": 0}, "stem_stride: expected an integer, 1 or more"),
        ({"stem_width": 0}, "stem_width: expected an integer, 1 or more, or None. Received: stem_width=0"),
        ({"stride_on": "first"}, "stride_on: expected one of '1x1', '3x3'"),
        ({"downsampling": "max_pool"}, "downsampling: expected one of"),
        ({"downsampling": "average_pool", "input_shape": (24, 32, 3)}, "input_shape: expected multiples of 16 pixels"),
        ({"shortcut": "identity"}, "shortcut: expected one of 'projection', 'pad', 'none'"),
        (
            {"se_reduction": 65},
            "se_reduction: expected an integer from 1 to 64, the fewest channels. Received: se_reduction=65",
        ),
        ({"head": "max"}, "head: expected one of"),
        ({"weights": "zeros"}, "weights: expected one of"),
        ({"num_classes": 1}, "num_classes: expected an integer, 2 or more. Received: num_classes=1"),
        ({"dropout": 1.0}, r"dropout: expected a number in \[0, 1\). Received: dropout=1.0"),
        ({"input_shape": (7, 32, 3)}, "input_shape: expected .* 8 pixels a side"),
        ({"input_shape": (31, 31, 3), "stem_stride": 2, "stem_pool": "ceil"}, "input_shape: expected .* 32 pixels"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        resnet(**{"input_shape": (32, 32, 3), "num_classes": 10, **arguments})
