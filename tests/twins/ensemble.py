"""Report A's averaging network (its class AGGNet) in PyTorch: the mean of the members' outputs."""

import torch
from torch import nn


class AverageNet(nn.Module):
    def __init__(self, nets):
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x):
        outputs = [net(x) for net in self.nets]
        out = torch.zeros_like(outputs[0], requires_grad=True)
        for output in outputs:
            out = out + output
        return out / len(outputs)
