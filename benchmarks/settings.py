"""What a measurement holds fixed, and the data that both sides have in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["OPTIMIZERS", "Data", "Settings", "synthetic"]

OPTIMIZERS = ("adam", "sgd")
"""Adam; SGD with Nesterov momentum 0.9."""


@dataclass(frozen=True)
class Settings:
    """How both sides train.

    Attributes:
        batch: images a step.
        optimizer: `adam` or `sgd`.
        precision: `float32` or `mixed_bfloat16`, in Keras' words.
        device: in PyTorch's words.
        learning_rate: of both optimizers.
    """

    batch: int
    optimizer: str = "adam"
    precision: str = "float32"
    device: str = "cpu"
    learning_rate: float = 1e-3


@dataclass(frozen=True, eq=False)
class Data:
    """Images and labels in memory.

    Attributes:
        images: uint8 `(n, height, width, channels)`.
        labels: int64 `(n,)`.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def synthetic(shape: tuple[int, int, int], count: int, seed: int = 0) -> Data:
    """Ten classes of random images, each class with a grey level of its own, so that a network can learn them."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count)
    images = random.integers(0, 128, (count, *shape), np.uint8) + (12 * labels).astype(np.uint8)[:, None, None, None]
    return Data(images, labels)
