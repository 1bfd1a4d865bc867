"""Report A's AlexNet in PyTorch, with and without batch normalisation, layer by layer as its listing prints it.

The padding of the first convolution is cut off in the print: 1.
"""

from torch import nn


def alexnet(in_dims=3, drop_rate=0.5, bn=False):
    def norm(layer):
        return [layer] if bn else []

    return nn.Sequential(
        nn.Conv2d(in_dims, 96, kernel_size=11, stride=4, padding=1),
        *norm(nn.BatchNorm2d(96)),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(96, 256, kernel_size=5, padding=2),
        *norm(nn.BatchNorm2d(256)),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(256, 384, kernel_size=3, padding=1),
        *norm(nn.BatchNorm2d(384)),
        nn.ReLU(),
        nn.Conv2d(384, 384, kernel_size=3, padding=1),
        *norm(nn.BatchNorm2d(384)),
        nn.ReLU(),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        *norm(nn.BatchNorm2d(256)),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Flatten(),
        nn.Linear(6400, 4096),
        *norm(nn.BatchNorm1d(4096)),
        nn.ReLU(),
        nn.Dropout(p=drop_rate),
        nn.Linear(4096, 4096),
        *norm(nn.BatchNorm1d(4096)),
        nn.ReLU(),
        nn.Dropout(p=drop_rate),
        nn.Linear(4096, 10),
    )
