"""Report A's LeNet in PyTorch, layer by layer as its listing prints it; the softmax at its end can be left off."""

from torch import nn


def lenet(in_dims=3, drop_rate=0.0, softmax=False):
    net = nn.Sequential(
        nn.Conv2d(in_dims, 6, kernel_size=5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 6 * 6, 120),
        nn.Sigmoid(),
        nn.Dropout(p=drop_rate),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )
    if softmax:
        net.append(nn.Softmax(dim=1))
    return net
