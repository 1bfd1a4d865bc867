"""Float32 that is float32: without the 10-bit mantissas that NVIDIA's convolutions use unless they are told not to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

__all__ = ["without_tf32"]


@contextmanager
def without_tf32() -> Iterator[None]:
    """Keeps PyTorch from rounding the factors of float32 products to TensorFloat-32 while the block runs.

    Training may round so, as it does by default; what a trained network is evaluated to should not depend on it. On a
    CPU, and under another backend, it makes no difference.

    Example:
        >>> with without_tf32():
        ...     pass
    """
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = False
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value
