"""Batches straight from the resident uint8 array, augmented with NumPy when Keras asks for them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from kmodels.augment import Draws, Transform, apply

__all__ = ["MemoryBatches"]


class MemoryBatches(keras.utils.PyDataset):
    """Batches of one pass in the given order, or of epoch after epoch in the drawn orders.

    A training batch depends on its index alone: index `i` is step `i % steps` of epoch `i // steps`. Keras may
    therefore look at a batch early, look ahead or start again (it does all three, differently on each backend) and
    every epoch still sees its own draws.

    Args:
        images: uint8 `(n, height, width, channels)`, the whole resident set.
        labels: `(n, ...)`.
        indices: which images take part, `(count,)`.
        transform: what is done to them.
        batch_size: images a batch.
        steps: batches an epoch.
        draws: gives an epoch's draws, counted from 0; None for one pass without augmentation.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[Any],
        indices: npt.NDArray[np.integer],
        transform: Transform,
        *,
        batch_size: int,
        steps: int,
        draws: Callable[[int], Draws] | None = None,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._images, self._labels, self._indices = images, labels, indices
        self._transform, self._batch_size, self._steps = transform, batch_size, steps
        self._draws = draws
        self._drawn: tuple[int, Draws] | None = None

    @property
    def num_batches(self) -> int | None:
        """Batches of the one pass; None for training, whose epochs `fit` ends by its `steps_per_epoch`."""
        return self._steps if self._draws is None else None

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
        """Batch `index`: images `(batch, height, width, channels)` and their labels."""
        start = index % self._steps * self._batch_size
        stop = start + self._batch_size
        if self._draws is None:
            chosen, draws = self._indices[start:stop], None
        else:
            draws = self._epoch(index // self._steps).part(start, stop)
            chosen = self._indices[draws.order]
        return apply(self._images[chosen], draws, self._transform), self._labels[chosen]

    def _epoch(self, epoch: int) -> Draws:
        assert self._draws is not None
        # Read once: TensorFlow asks from a thread of its own, and a pair is replaced whole.
        drawn = self._drawn
        if drawn is None or drawn[0] != epoch:
            drawn = epoch, self._draws(epoch)
            self._drawn = drawn
        return drawn[1]
