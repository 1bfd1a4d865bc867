"""torchvision's own models, with random weights, against the presets that stand for them."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from kmodels.models import MODELS, build, from_torchvision
from kmodels.models.torch_weights import assign
from kmodels.models.torchvision import TORCHVISION, torchvision_modules
from tests.equality import (
    check_blocks,
    check_inference,
    check_training,
    images,
    only_torch,
    randomize,
    torchvision_models,
)

# VGG and AlexNet pool to a fixed size before their dense layers, which is nothing at 224 pixels only
SIDE = {name: 224 if name.startswith(("vgg", "alexnet")) else 64 for name in TORCHVISION}
QUICK = ("resnet18", "resnet50", "densenet121", "alexnet")
DEEP = ("resnet50", "resnet101", "resnet152", "densenet121")


@pytest.fixture(scope="module")
def torchvision():
    return torchvision_models()


def some(quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in TORCHVISION]


def random_twin(torchvision, name):
    torch.manual_seed(0)
    dropout = {} if name.startswith("resnet") else {"drop_rate" if name.startswith("densenet") else "dropout": 0.0}
    twin = getattr(torchvision, name)(weights=None, num_classes=10, **dropout)
    randomize(twin, seed=0)
    return twin


@pytest.mark.backend
@pytest.mark.parametrize("name", some((*QUICK, "vgg11_bn")))
def test_brought_over_gives_equal_logits(torchvision, name):
    twin, shape = random_twin(torchvision, name), (SIDE[name], SIDE[name], 3)
    model = from_torchvision(name, twin.state_dict(), input_shape=shape)
    assert model.output_shape == (None, 10)
    check_inference(model, twin, images(2, shape))


@only_torch
@pytest.mark.parametrize("name", some(("resnet18",)))
def test_trains_equally(torchvision, name):
    twin, shape = random_twin(torchvision, name), (64, 64, 3)
    if SIDE[name] == 224:  # a smaller last map instead of one that is pooled up to 224 pixels' size, to save minutes
        shape, pixels = ((67, 67, 3), 1) if name == "alexnet" else ((64, 64, 3), 4)
        channels = 256 if name == "alexnet" else 512
        twin.avgpool = torch.nn.Identity()
        first = next(i for i, m in enumerate(twin.classifier) if isinstance(m, torch.nn.Linear))
        twin.classifier[first] = torch.nn.Linear(channels * pixels, 4096)
    dropout = {"dropout": 0.0} if name.startswith(("vgg", "alexnet")) else {}
    model = build(TORCHVISION[name], shape, 10, **dropout)
    modules = torchvision_modules(name, model)
    assign(model, twin.state_dict(), modules)
    x = images(4, shape)
    check_training(model, twin, x, modules)
    if name in DEEP:
        with torch.no_grad():
            for block in twin.modules():
                if hasattr(block, "bn3") or hasattr(block, "norm2"):
                    (block.bn3 if hasattr(block, "bn3") else block.norm2).weight.fill_(0.1)
        assign(model, twin.state_dict(), modules)
        check_blocks(model, twin, x, (resnet_blocks if "resnet" in name else densenet_blocks)(model), modules)
        check_training(model, twin, x, modules)


def resnet_blocks(model):
    names = [n for n in (layer.name for layer in model.layers) if n.startswith("stage") and n.endswith("_relu")]
    ends = [n for n in names if "_conv" not in n]
    modules = [f"layer{n[5]}.{int(n.split('_')[1][5:]) - 1}" for n in ends]
    return list(zip(["stem_pool", *ends], ends, modules, strict=False))


def densenet_blocks(model):
    layers = {number: 0 for number in (1, 2, 3, 4)}
    for match in (re.fullmatch(r"block(\d)_layer\d+_concat", layer.name) for layer in model.layers):
        if match:
            layers[int(match[1])] += 1
    ends, modules = [], []
    for number, count in layers.items():
        ends += [f"block{number}_layer{count}_concat", f"transition{number}_pool"]
        modules += [f"features.denseblock{number}", f"features.transition{number}"]
    return list(zip(["stem_pool", *ends], ends[:-1], modules, strict=False))


def test_numpy_arrays_and_old_densenet_names_do_as_well(torchvision):
    twin = random_twin(torchvision, "densenet121")
    arrays = {key: value.numpy() for key, value in twin.state_dict().items()}
    old = {}
    for key, value in arrays.items():
        for part in ("norm1", "conv1", "norm2", "conv2"):
            key = key.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.")
        old[key] = value
    assert set(old) != set(arrays)
    shape = (32, 32, 3)
    a, b = (from_torchvision("densenet121", entries, input_shape=shape) for entries in (arrays, old))
    for left, right in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def resnet18_arrays():
    """A state dict of zeros with torchvision's names and shapes, made of the Keras model's own."""
    model = build("resnet18_imagenet", (32, 32, 3), 10)
    modules = torchvision_modules("resnet18", model)
    suffix = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
    suffix |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    return {
        f"{modules[layer.name]}.{suffix[v.name]}": np.zeros(tuple(v.shape)[::-1] if len(v.shape) != 4 else
                                                            (v.shape[3], v.shape[2], *v.shape[:2]))
        for layer in model.layers
        for v in layer.weights
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("resnet19", {}, "name: expected one of resnet18, .*. Received: name='resnet19'"),
        ("resnet18", {"layer1.0.conv1.weight": None}, "state_dict: expected an entry 'layer1.0.conv1.weight'"),
        ("resnet18", {"fc.weight": None}, "state_dict: expected an entry 'fc.weight'"),
        ("resnet18", {"layer5.weight": np.zeros(3)}, "only entries that belong to .* state_dict=.'layer5.weight'."),
        ("resnet18", {"fc.bias": np.zeros(11)}, r"fc.bias for a weight of shape \(10,\). Received: state_dict=\(11,\)"),
        ("resnet34", {}, "state_dict: expected an entry 'layer1.2.bn1.bias'"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused(resnet18_arrays, name, change, message):
    entries = {k: v for k, v in (resnet18_arrays | change).items() if v is not None}
    with pytest.raises(ValueError, match=message):
        from_torchvision(name, entries, input_shape=(32, 32, 3))


def test_every_name_has_its_preset():
    assert set(TORCHVISION.values()) == {name for name in MODELS if name.endswith("_imagenet")}


def test_torchvision_is_not_imported():
    code = "import sys, kmodels.models; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
