"""Every network of the registry: size, cost, saving, half precision."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kmodels.models import MODELS, Preset, build, ensemble, initial_weights
from kmodels.models.macs import count_macs
from tests.equality import images, only_torch
from tests.network_sizes import CHEAP, PARAMETERS, PRINTED_GIGAMACS
from tests.prepared_networks import SHAPES
from tests.twin_steps import labels
from tests.twins import resnet as twins
from tests.twins.alexnet import alexnet as twin_alexnet
from tests.twins.vgg import VGG

# the others under `slow`, as are float16's slow convolutions on a CPU of all that are not cheap
QUICK = (*CHEAP, "vgg11_lrn", "vgg11_bn", "se_vgg16_stage", "resnet18_a", "resnet18_pooled", "resnet18_flatten")


def slow_unless(quick, backend=()):
    marks = {name: [] if name in quick else [pytest.mark.slow] for name in MODELS}
    return [pytest.param(n, marks=[*m, *[pytest.mark.backend] * (n in backend)]) for n, m in marks.items()]


HUGE = {name for name in MODELS if name.startswith("vgg") and name.endswith("_imagenet")}


def small(name, **kwargs):
    model = build(name, SHAPES.get(name, (8, 8, 3)), **kwargs)
    initial_weights.initialize(model, seed=0)
    return model, images(2, model.input_shape[1:])


@pytest.mark.parametrize("name", slow_unless(set(MODELS) - HUGE))
def test_has_its_golden_size_and_cost(name):
    model = build(name)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert (trainable, model.count_params() - trainable) == PARAMETERS[name]
    assert model.name == name
    assert len({w.path for w in model.weights}) == len(model.weights)  # Keras on PyTorch keeps weights by path
    assert model.output_shape == (None, MODELS[name].num_classes)
    if name in PRINTED_GIGAMACS:
        assert count_macs(model) / 1e9 == pytest.approx(PRINTED_GIGAMACS[name], rel=0.02)


@pytest.mark.parametrize("name", QUICK)
def test_layers_are_named_by_the_network_not_by_what_was_built_before(name):
    first, second = (small(name)[0] for _ in range(2))
    assert [path for path, _ in initial_weights.layer_paths(first)] == [
        path for path, _ in initial_weights.layer_paths(second)
    ]


def test_every_preset_has_a_golden_size():
    assert set(PARAMETERS) == set(MODELS)


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("resnet18_a", lambda: twins.ResNet(twins.BasicBlock, (2, 2, 2, 2))),
        ("resnet50_a", lambda: twins.ResNet(twins.Bottleneck, (3, 4, 6, 3))),
        ("se_resnet14_d", lambda: twins.ThreeStageResNet(se=True)),
        ("alexnet", lambda: twin_alexnet(3)),
        ("vgg16_bn", lambda: VGG("D")),
    ],
)
def test_cost_is_what_pytorch_counts_for_the_twin(name, twin):
    model = build(name)
    height, width, channels = model.input_shape[1:]
    with torch.device("meta"):
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            twin().eval()(torch.empty(1, channels, height, width))
    assert 2 * count_macs(model) == counter.get_total_flops()


def test_cost_of_an_ensemble_is_that_of_its_members():
    total = count_macs(build("lenet")) + count_macs(build("plain_net"))
    assert count_macs(build("average_net", (32, 32, 3), 10, members=["lenet", "plain_net"])) == total


def test_cost_of_an_unknown_kind_of_layer_is_refused():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2DTranspose(4, 3, name="up")(inputs))
    with pytest.raises(ValueError, match="expected Dense and Conv2D layers"):
        count_macs(model)


@pytest.mark.parametrize("name", slow_unless(QUICK, backend=("lenet", "plain_net", "se_resnet14_d")))
def test_saved_and_loaded_in_safe_mode_is_the_same(name, scratch):
    model, x = small(name)
    model.save(scratch / "model.keras")
    loaded = keras.saving.load_model(scratch / "model.keras", safe_mode=True)
    before, after = (m.predict_on_batch(x) for m in (model, loaded))
    assert np.abs(before).max() > 0.0
    np.testing.assert_array_equal(after, before)


def check_half_precision(name, precision):
    """One backward pass at the start; four images, as two with a last map of one pixel would make float16 overflow."""
    keras.config.set_dtype_policy(precision)
    try:
        model, x = small(name)
    finally:
        keras.config.set_dtype_policy("float32")
    x = images(4, x.shape[1:]) if "resnet" in name or "densenet" in name else x
    logits = model(x, training=True)
    assert logits.dtype == torch.float32
    layers = [layer for _, layer in initial_weights.layer_paths(model)]
    whole = {v.name for v in layers if v.weights and v.compute_dtype != precision.removeprefix("mixed_")}
    assert whole == {"logits"}
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels(len(x), logits.shape[1])))
    gradients = torch.autograd.grad(loss, [v.value for v in model.trainable_variables])
    assert all(g.dtype == torch.float32 and bool(g.isfinite().all()) for g in gradients)
    assert any(bool(g.any()) for g in gradients)


@only_torch
@pytest.mark.parametrize("name", slow_unless(QUICK))
def test_bfloat16_has_float32_logits_and_finite_gradients(name):
    check_half_precision(name, "mixed_bfloat16")


@only_torch
@pytest.mark.parametrize("name", slow_unless(CHEAP))
def test_float16_has_float32_logits_and_finite_gradients(name):
    check_half_precision(name, "mixed_float16")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build("resnet19"), "name: expected one of lenet, alexnet, .*. Received: name='resnet19'"),
        (lambda: build("lenet", size=3), "argument: expected one of dropout, .* for lenet. Received: argument='size'"),
        (lambda: build("resnet18_e", dropout=1.5), r"dropout: expected a number in \[0, 1\). Received: dropout=1.5"),
        (lambda: build(["lenet"]), r"name: expected one of .* Received: name=\['lenet'\]"),
        (lambda: build("lenet", 32, 10), "input_shape: expected .* Received: input_shape=32"),
        (lambda: build("lenet", (32.0, 32.0, 3), 10), "input_shape: expected .* Received: input_shape="),
        (lambda: build("lenet", (32, 32, 3), "10"), "num_classes: expected an integer, .* Received: num_classes='10'"),
        (lambda: build("lenet", (32, 32, 3), 2.5), "num_classes: expected an integer, .* Received: num_classes=2.5"),
        (lambda: build("lenet", dropout="0.1"), r"dropout: expected a number in \[0, 1\). Received: dropout='0.1'"),
        (lambda: build("lenet", dropout=float("nan")), r"dropout: expected a number in \[0, 1\). .*dropout=nan"),
        (lambda: build("se_vgg16_conv", reduction=2.5), "reduction: expected an integer from .* reduction=2.5"),
        (lambda: build("se_resnet14_d", se_reduction=17), "se_reduction: expected an integer from 1 to 16"),
        (lambda: build("alexnet", filters=3), "filters: expected five numbers .* Received: filters=3"),
        (lambda: build("vgg16", hidden=3), "hidden: expected numbers of units, 1 or more. Received: hidden=3"),
        (lambda: build("densenet121", blocks=3), "blocks: expected layers .* Received: blocks=3"),
        (lambda: ensemble(build("lenet")), "members: expected 2 or more models. Received: members='lenet'"),
        (lambda: build("resnet20", depth=21), r"depth: expected 6n \+ 2"),
        (lambda: build("average_net", (32, 32, 3), 10, members=["lenet", "net"]), "name: expected one of .*name='net'"),
        (lambda: build("average_net", (32, 32, 3), 10, members=["lenet"]), "members: expected 2 or more"),
        (
            lambda: build("lenet", (32, 32, 3), 1),
            "num_classes: expected an integer, 2 or more. Received: num_classes=1",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", MODELS)
def test_every_preset_refuses_too_few_classes_and_too_small_images(name):
    with pytest.raises(ValueError, match="num_classes: expected an integer, 2 or more"):
        build(name, None, 1)
    with pytest.raises(ValueError, match="input_shape: expected"):
        build(name, (0, 0, 3))
    if "dropout" in inspect.signature(MODELS[name].builder).parameters:
        with pytest.raises(ValueError, match=r"dropout: expected a number in \[0, 1\). Received: dropout=-0.1"):
            build(name, dropout=-0.1)


def test_arguments_given_replace_the_presets():
    assert build("se_resnet14_d", se_reduction=None).count_params() == build("resnet14_d").count_params()
    deeper = build("resnet18_e", blocks_per_stage=3)
    assert deeper.count_params() == build("resnet26_e").count_params()
    assert build("convnet", [32, 32, 3], 7).input_shape == (None, 32, 32, 3)


def test_a_preset_is_a_value():
    preset = MODELS["resnet18_e"]
    assert dataclasses.replace(preset) == preset
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.source = "elsewhere"
    assert all(isinstance(p, Preset) and p.source for p in MODELS.values())


def test_networks_that_share_layers_start_from_the_same_weights():
    with_skips, without = (build(name, (16, 16, 3), 10) for name in ("resnet14_d", "plain14_d"))
    for model in (with_skips, without):
        initial_weights.initialize(model, seed=3)
    shared = {layer.name for layer in without.layers if layer.weights}
    assert len(shared) == 27
    for name in shared:
        for a, b in zip(with_skips.get_layer(name).get_weights(), without.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
