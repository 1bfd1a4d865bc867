"""Batches of one part of a user's arrays, in an order that is the same on every backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kmodels.augment import Transform, draw_epoch

__all__ = ["PartBatches", "count_samples", "take"]

_PLAIN = Transform(mean=(0.0,), std=(1.0,))


class PartBatches(keras.utils.PyDataset):
    """One pass over a part in its own order, or epoch after epoch in drawn orders.

    A training batch depends on its index alone: index `i` is step `i % steps` of epoch `first_epoch + i // steps`, so
    it does not matter that backends look at batches early or ahead. Epoch `e` has the order of
    `kmodels.augment.draw_epoch`, the one that the experiments have.

    Args:
        x: array, or a nest of arrays, each of shape `(samples, ...)`.
        y: array of shape `(samples, ...)`.
        part: indices of the samples, `(count,)`.
        batch_size: samples a batch, 1 or more; the last batch of an epoch may be short.
        seed: of the order; None for one pass without shuffling.
        fold: part of the order's key.
        first_epoch: epochs done before.
    """

    def __init__(
        self,
        x: Any,
        y: np.ndarray,
        part: np.ndarray,
        *,
        batch_size: int,
        seed: int | None = None,
        fold: int = 0,
        first_epoch: int = 0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._x, self._y, self._part, self._batch_size = x, y, part, batch_size
        self._seed, self._fold, self._first_epoch = seed, fold, first_epoch
        self._drawn: tuple[int, np.ndarray] | None = None
        self.steps = -(-len(part) // batch_size)

    @property
    def num_batches(self) -> int | None:
        """Batches of the one pass; None for training, whose epochs `fit` ends by its `steps_per_epoch`."""
        return self.steps if self._seed is None else None

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray]:
        """Batch `index`: samples `(batch, ...)` and their targets."""
        start = index % self.steps * self._batch_size
        chosen = self._order(index // self.steps)[start : start + self._batch_size]
        return take(self._x, chosen), self._y[chosen]

    def _order(self, epoch: int) -> np.ndarray:
        if self._seed is None:
            return self._part
        drawn = self._drawn  # read once: TensorFlow asks from a thread of its own
        if drawn is None or drawn[0] != epoch:
            at = self._first_epoch + epoch
            draws = draw_epoch(len(self._part), _PLAIN, seed=self._seed, fold=self._fold, epoch=at)
            drawn = epoch, self._part[draws.order]
            self._drawn = drawn
        return drawn[1]


def take(x: Any, indices: np.ndarray) -> Any:
    """Returns the chosen samples of an array, or of each array of a nest."""
    return keras.tree.map_structure(lambda array: array[indices], x)


def count_samples(x: Any, y: np.ndarray) -> int:
    """Returns the number of samples.

    Raises:
        ValueError: x or y is no NumPy array, or their lengths differ.
    """
    arrays = keras.tree.flatten(x)
    for name, array in [*(("x", array) for array in arrays), ("y", y)]:
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            raise ValueError(
                f"{name}: expected a NumPy array of shape (samples, ...). Received: {type(array).__name__}"
            )
        if len(array) != len(y):
            raise ValueError(f"{name}: expected {len(y)} samples, as many as y has. Received: {len(array)}")
    if not arrays or len(y) == 0:
        raise ValueError(f"x: expected one sample or more. Received: {len(arrays)} arrays, {len(y)} samples")
    return len(y)
