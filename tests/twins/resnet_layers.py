"""Which module of a residual twin is which layer or block of the Keras network."""

import re

from tests.twins.resnet import ResNet, ResNetE, WideResNet


def modules(model, twin):
    """Returns the twin's module for each layer with weights: stage2_block1_conv1 -> layer2.0.conv1 and so on."""
    stage = "lay" if hasattr(twin, "lay1") else "layer"
    shortcut = "downsample" if isinstance(twin, ResNet | ResNetE) else "shortcut"
    wide = isinstance(twin, WideResNet)
    fixed = {"stem": "conv1", "stem_bn": "bn1", "last_bn": "bn1", "logits": "fc"}
    parts = {
        "shortcut": "shortcut" if wide else f"{shortcut}.0",
        "shortcut_bn": f"{shortcut}.1",
        "se_reduce": "se.fc1",
        "se_expand": "se.fc2",
        **{f"conv{i}": f"conv{i}" for i in (1, 2, 3)},
        **{f"conv{i}_bn": f"bn{i + 1 if wide else i}" for i in (1, 2, 3)},
        "bn1": "bn1",
    }
    pairs = {}
    for layer in model.layers:
        if not layer.weights:
            continue
        if layer.name in fixed:
            pairs[layer.name] = fixed[layer.name]
        else:
            number, index, part = re.fullmatch(r"stage(\d)_block(\d+)_(\w+)", layer.name).groups()
            pairs[layer.name] = f"{stage}{number}.{int(index) - 1}.{parts[part]}"
    return pairs


def blocks(model, twin):
    """Returns (entering layer, last layer, twin's module) for every block, for `equality.check_blocks`."""
    names = [layer.name for layer in model.layers]
    entering = "stem_pool" if "stem_pool" in names else "stem_relu"
    found = []
    stage = "lay" if hasattr(twin, "lay1") else "layer"
    for name in names:
        if match := re.fullmatch(r"stage(\d)_block(\d+)_relu", name):
            found.append((entering, name, f"{stage}{match[1]}.{int(match[2]) - 1}"))
            entering = name
    return found
