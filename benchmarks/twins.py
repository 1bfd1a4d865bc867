"""The networks of the table, written by hand in PyTorch as one would without Keras: NCHW modules, logits out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CASES", "Case", "parameters"]


def lenet() -> nn.Module:
    """Report A's LeNet."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 6 * 6, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )


def convnet() -> nn.Module:
    """Report C's MyConvNet."""
    return nn.Sequential(
        *_normalized(1, 64, bias=True),
        nn.MaxPool2d(2),
        *_normalized(64, 128, bias=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128 * 7 * 7, 784),
        nn.ReLU(inplace=True),
        nn.Linear(784, 98),
        nn.ReLU(inplace=True),
        nn.Linear(98, 10),
    )


def vgg16_bn() -> nn.Module:
    """VGG-16 with batch normalisation and one dense layer."""
    layers: list[nn.Module] = []
    channels = 3
    for width, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            layers += _normalized(channels, width, bias=True)
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def resnet14() -> nn.Module:
    """Report D's ResNet of widths 16, 32 and 64, two blocks a stage."""
    return _resnet((16, 32, 64))


def resnet18() -> nn.Module:
    """ResNet-18 with a 3x3 stem for small images."""
    return _resnet((64, 128, 256, 512))


def densenet() -> nn.Module:
    """Report D's SimpleDenseNet."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.MaxPool2d(3, stride=2, padding=1),
        *(_DenseLayer(64 + 12 * layer, 12) for layer in range(3)),
        *_transition(100, 128),
        *(_DenseLayer(128 + 12 * layer, 12) for layer in range(3)),
        *_transition(164, 64),
        *(_DenseLayer(64 + 12 * layer, 12) for layer in range(3)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(100, 10),
    )


def _normalized(channels: int, width: int, *, bias: bool, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=bias)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normalized(channels, width, bias=False, stride=stride),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


def _resnet(widths: tuple[int, ...]) -> nn.Module:
    blocks: list[nn.Module] = []
    channels = widths[0]
    for stage, width in enumerate(widths):
        blocks += [_Block(channels, width, 2 if stage else 1), _Block(width, width, 1)]
        channels = width
    stem = _normalized(3, widths[0], bias=False)
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x), inplace=True))], 1)


def _transition(channels: int, width: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, width, 1, bias=False)
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), convolution, nn.AvgPool2d(2)]


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        preset: name in `kmodels.models.MODELS`.
        twin: builds the same network in PyTorch.
        shape: `(height, width, channels)` of an image.
        batches: images a step, each a row of its own.
        aim: `(must, aim)` of the ratio to the twin.
    """

    preset: str
    twin: Callable[[], nn.Module]
    shape: tuple[int, int, int] = (32, 32, 3)
    batches: tuple[int, ...] = (128,)
    aim: tuple[float, float] = (0.95, 1.05)


CASES: dict[str, Case] = {
    "LeNet": Case("lenet", lenet, aim=(0.95, 1.10)),
    "MyConvNet": Case("convnet", convnet, (28, 28, 1), (16, 128), (0.95, 1.10)),
    "ResNet 16-32-64": Case("resnet14_d", resnet14),
    "SimpleDenseNet": Case("densenet_d", densenet),
    "ResNet-18": Case("resnet18", resnet18, aim=(0.97, 1.05)),
    "VGG16-BN": Case("vgg16_bn", vgg16_bn, aim=(0.97, 1.05)),
}
"""The table's rows by name."""


def parameters(twin: nn.Module) -> int:
    """Returns the number of a twin's weights as Keras counts them: running statistics in, counters of calls out."""
    weights = sum(tensor.numel() for tensor in twin.parameters())
    return weights + sum(tensor.numel() for tensor in twin.buffers() if tensor.is_floating_point())
