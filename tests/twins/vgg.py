"""Report B's VGG in PyTorch, from the table of six configurations that it prints, squeeze-and-excite included."""

from torch import nn

# One entry a row of the table's columns: "3-64" is conv3-64, "1-256" is conv1-256, "M" is maxpool.
TABLE = {
    "A": "3-64 M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "A-LRN": "3-64 LRN M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "B": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "C": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 1-256 M 3-512 3-512 1-512 M 3-512 3-512 1-512 M",
    "D": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 M 3-512 3-512 3-512 M 3-512 3-512 3-512 M",
    "E": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 3-256 M 3-512 3-512 3-512 3-512 M 3-512 3-512 3-512 3-512 M",
}


class SEBlock(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)

    def forward(self, x):
        gate = self.fc2(self.fc1(self.avg_pool(x).flatten(1)).relu()).sigmoid()
        return x * gate[:, :, None, None]


class VGG(nn.Module):
    def __init__(self, configuration, bn=True, se=None, reduction=16, in_dims=3):
        super().__init__()
        layers, channels = [], in_dims
        for entry in TABLE[configuration].split():
            if entry == "M":
                if se == "stage":
                    layers.append(SEBlock(channels, reduction))
                layers.append(nn.MaxPool2d(2, stride=2))
            elif entry == "LRN":
                layers.append(nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0))
            else:
                kernel, width = map(int, entry.split("-"))
                layers.append(nn.Conv2d(channels, width, kernel, stride=1, padding=kernel // 2))
                if bn:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU())
                channels = width
                if se == "conv":
                    layers.append(SEBlock(channels, reduction))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(512, 10)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))
