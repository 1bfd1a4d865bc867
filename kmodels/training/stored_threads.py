"""As many threads as a training was begun with, since sums of another number of threads differ in their last bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from kmodels.torch_step.device import threads, use_threads

__all__ = ["using_threads"]


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Computes with so many CPU threads while the block runs, and with as many as before afterwards.

    Args:
        count: of PyTorch; 0, which is also what the other backends count, for as many as there are.

    Example:
        >>> before = threads(keras.backend.backend())
        >>> with using_threads(before + 1):
        ...     within = threads(keras.backend.backend())
        >>> within - before == (1 if keras.backend.backend() == "torch" else 0)
        True
        >>> threads(keras.backend.backend()) == before
        True
    """
    backend = keras.backend.backend()
    before = threads(backend)
    use_threads(backend, count)
    try:
        yield
    finally:
        use_threads(backend, before)
