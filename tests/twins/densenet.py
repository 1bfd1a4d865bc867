"""Report D's SimpleDenseNet in PyTorch, as it prints the modules, and the DenseNet paper's network for CIFAR."""

import torch
from torch import nn


class DenseLayer(nn.Module):
    def __init__(self, channels, growth):
        super().__init__()
        self.conv = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, 1, 1, bias=False))

    def forward(self, x):
        return torch.cat([x, self.conv(x)], 1)


class DenseBlock(nn.Module):
    def __init__(self, layers, channels, growth):
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(channels + i * growth, growth) for i in range(layers))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class TransitionLayer(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.downsample = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, width, 1, 1, bias=False), nn.AvgPool2d(2, 2)
        )

    def forward(self, x):
        return self.downsample(x)


class SimpleDenseNet(nn.Module):
    def __init__(self, small_stem=False):
        super().__init__()
        stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.MaxPool2d(3, 2, 1)]
        self.features = nn.Sequential(
            *([nn.Conv2d(3, 64, 3, 1, 1, bias=False)] if small_stem else stem),
            DenseBlock(3, 64, 12),
            TransitionLayer(100, 128),
            DenseBlock(3, 128, 12),
            TransitionLayer(164, 64),
            DenseBlock(3, 64, 12),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        self.classifier = nn.Linear(100, 10)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class BottleneckLayer(nn.Module):
    def __init__(self, channels, growth):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


class DenseNetBC(nn.Module):
    """The DenseNet paper's CIFAR network: 3x3 stem of 2 * growth channels, compression 0.5, a last BN and ReLU.

    With blocks=(6, 12, 24, 16), growth=32 it is DenseNet-121 behind a stem for small images.
    """

    def __init__(self, blocks=(16, 16, 16), growth=12):
        super().__init__()
        channels = 2 * growth
        layers = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
        for index, depth in enumerate(blocks):
            if index:
                layers.append(TransitionLayer(channels, channels // 2))
                channels //= 2
            for _ in range(depth):
                layers.append(BottleneckLayer(channels, growth))
                channels += growth
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x):
        return self.classifier(self.features(x))


def blocks(model, twin):
    """Returns (entering layer, last layer, twin's module) for every dense layer and transition of `DenseNetBC`."""
    ends = [layer.name for layer in model.layers if layer.name.endswith(("_concat", "_pool"))]
    inner = BottleneckLayer | TransitionLayer
    modules = [f"features.{name}" for name, module in twin.features.named_children() if isinstance(module, inner)]
    return list(zip(["stem", *ends], ends, modules, strict=False))
