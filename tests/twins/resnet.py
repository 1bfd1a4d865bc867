"""The reports' and the field's residual networks in PyTorch, attribute names as the listings print them.

Where a listing breaks off (report A's forward pass, report D's ReLUs) or there is none (report B), the network follows
the paper that the report names.
"""

import torch
from torch import nn


def conv3x3(inplanes, planes, stride=1):
    return nn.Conv2d(inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Reports A and E (BLOCK); with an SEBlock report B's."""

    expansion = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None, se=None):
        super().__init__()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.se = se
        self.downsample = downsample

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.se is not None:
            out = self.se(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        return self.relu(out + identity)


class Bottleneck(nn.Module):
    """Report A: the stride is on the first 1x1; `stride_on="3x3"` for what torchvision does."""

    expansion = 4

    def __init__(self, inplanes, planes, stride=1, downsample=None, se=None, stride_on="1x1"):
        super().__init__()
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * 4, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x):
        residual = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            residual = self.downsample(x)
        return self.relu(out + residual)


class StrideOn3x3(Bottleneck):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, stride_on="3x3", **kwargs)


class SEBlock(nn.Module):
    """Report D's; report B names the same two dense layers."""

    def __init__(self, channels, reduction=16):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(output_size=1)
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)

    def forward(self, x):
        gate = torch.sigmoid(self.fc2(torch.relu(self.fc1(self.avg_pool(x).flatten(1)))))
        return x * gate[:, :, None, None]


class ResNet(nn.Module):
    """Report A's with its own stem; report B's with `stem="small"`, and its heads (B-5.1 `pooled`, B-5.2 `flatten`)."""

    def __init__(self, block, layers, num_classes=10, in_dims=3, stem="large", se=False, pooled=False, flatten=0):
        super().__init__()
        self.inplanes = 64
        self.se = se
        if stem == "large":
            self.conv1 = nn.Conv2d(in_dims, 64, kernel_size=7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True)
        else:
            self.conv1 = conv3x3(in_dims, 64)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        step = 1 if pooled else 2
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=step)
        self.layer3 = self._make_layer(block, 256, layers[2], stride=step)
        self.layer4 = self._make_layer(block, 512, layers[3], stride=step)
        self.pooled = pooled
        self.avgpool = nn.Identity() if flatten else nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion * (flatten or 1), num_classes)

    def _make_layer(self, block, planes, blocks, stride=1):
        layers = []
        for index in range(blocks):
            step, downsample = stride if index == 0 else 1, None
            if step != 1 or self.inplanes != planes * block.expansion:
                downsample = nn.Sequential(
                    nn.Conv2d(self.inplanes, planes * block.expansion, kernel_size=1, stride=step, bias=False),
                    nn.BatchNorm2d(planes * block.expansion),
                )
            se = SEBlock(planes * block.expansion) if self.se else None
            layers.append(block(self.inplanes, planes, step, downsample, se))
            self.inplanes = planes * block.expansion
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            if self.pooled:
                x = nn.functional.adaptive_avg_pool2d(x, (x.shape[2] // 2, x.shape[3] // 2))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class ResidualBlock(nn.Module):
    """Report D's; `skip=False` leaves the shortcut out."""

    def __init__(self, in_channels, out_channels, stride=1, se=False, skip=True, option_a=False):
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.se = SEBlock(out_channels) if se else nn.Identity()
        self.skip, self.option_a = skip, option_a
        self.shortcut = nn.Sequential()
        if (stride != 1 or in_channels != out_channels) and skip and not option_a:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x):
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.se(self.bn2(self.conv2(out)))
        if self.option_a and out.shape != x.shape:
            # He et al.'s option A: every second pixel, and zeros for the channels that are not there yet
            x = x[:, :, ::2, ::2]
            x = torch.cat([x, x.new_zeros(len(x), out.shape[1] - x.shape[1], *x.shape[2:])], dim=1)
        if self.skip:
            out = out + self.shortcut(x)
        return torch.relu(out)


class ThreeStageResNet(nn.Module):
    """Report D's ResNet and ResNetSE (`blocks=2`); He et al.'s ResNet-20 … 110 with option A and more blocks."""

    def __init__(self, blocks=2, se=False, skip=True, option_a=False):
        super().__init__()
        self.conv1 = conv3x3(3, 16)
        self.bn1 = nn.BatchNorm2d(16)
        planes = 16
        for stage, width in enumerate((16, 32, 64), start=1):
            stack = []
            for index in range(blocks):
                stride = 2 if stage > 1 and index == 0 else 1
                stack.append(ResidualBlock(planes, width, stride, se=se, skip=skip, option_a=option_a))
                planes = width
            setattr(self, f"layer{stage}", nn.Sequential(*stack))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class ResNetE(nn.Module):
    """Report E's listing without its softmax; its `_make_lay` appends one block and then `num_blocks` more."""

    def __init__(self, lays, num_classes=10, p=0.0, kernel=3, stride=1, stem_bn=True):
        super().__init__()
        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel, stride=stride, padding=kernel // 2)
        self.bn1 = nn.BatchNorm2d(self.inplanes) if stem_bn else nn.Identity()
        self.relu = nn.ReLU()
        self.lay1 = self._make_lay(64, lays[0], stride=1)
        self.lay2 = self._make_lay(128, lays[1], stride=2)
        self.lay3 = self._make_lay(256, lays[2], stride=2)
        self.lay4 = self._make_lay(512, lays[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p)
        self.fc = nn.Linear(512, num_classes)

    def _make_lay(self, planes, num_blocks, stride):
        downsample = None
        if stride != 1 or self.inplanes != planes:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )
        lays = [BasicBlock(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes
        for _ in range(num_blocks):
            lays.append(BasicBlock(self.inplanes, planes, stride=1))
        return nn.Sequential(*lays)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.lay4(self.lay3(self.lay2(self.lay1(x))))
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(self.dropout(x))


class WideBlock(nn.Module):
    def __init__(self, in_planes, out_planes, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_planes)
        self.conv1 = conv3x3(in_planes, out_planes, stride)
        self.bn2 = nn.BatchNorm2d(out_planes)
        self.conv2 = conv3x3(out_planes, out_planes)
        changes = stride != 1 or in_planes != out_planes
        self.shortcut = nn.Conv2d(in_planes, out_planes, 1, stride=stride, bias=False) if changes else None

    def forward(self, x):
        out = torch.relu(self.bn1(x))
        if self.shortcut is not None:
            x = self.shortcut(out)
        out = self.conv2(torch.relu(self.bn2(self.conv1(out))))
        return x + out


class WideResNet(nn.Module):
    """Zagoruyko & Komodakis, Wide Residual Networks, 2016."""

    def __init__(self, depth, factor):
        super().__init__()
        self.conv1 = conv3x3(3, 16)
        planes = 16
        for stage in (1, 2, 3):
            stack, width = [], 16 * factor * 2 ** (stage - 1)
            for index in range((depth - 4) // 6):
                stack.append(WideBlock(planes, width, 2 if stage > 1 and index == 0 else 1))
                planes = width
            setattr(self, f"layer{stage}", nn.Sequential(*stack))
        self.bn1 = nn.BatchNorm2d(planes)
        self.fc = nn.Linear(planes, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = torch.relu(self.bn1(x))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))
