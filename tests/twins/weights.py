"""Weights for a twin under which every layer matters: a gradient that has vanished proves nothing about its layer."""

import torch
from torch import nn


def draw_weights(twin, seed=0, gain=2.0):
    """Draws kernels of variance gain/fan_in (2 keeps the scale through ReLUs, 16 through sigmoids) and biases."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in twin.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0.0, (gain / fan_in) ** 0.5, generator=generator)
                if module.bias is not None:
                    module.bias.normal_(0.0, 0.1, generator=generator)
    return twin
