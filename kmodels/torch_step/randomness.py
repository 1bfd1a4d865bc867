"""PyTorch's own generator, which Keras' dropout draws from when its layer was given no seed."""

from __future__ import annotations

import torch

__all__ = ["seed_torch"]


def seed_torch(seed: int) -> None:
    """Seeds PyTorch's generators on every device.

    Args:
        seed: 0 or more, below 2**63.
    """
    torch.manual_seed(seed)
