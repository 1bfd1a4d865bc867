"""Images that stay on the device as uint8, and batches of them that are prepared inside the training step.

What travels to the device is an epoch's draws, a few bytes an image, once an epoch.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kmodels.augment import Draws, Transform
from kmodels.geometry import rotation_terms
from kmodels.torch_step.keras_internals import DataAdapter, current_device
from kmodels.torch_step.prepare import prepare

__all__ = ["PreparedBatches", "ResidentBatch", "ResidentBatches", "ResidentSource"]


@dataclass(frozen=True, eq=False)
class ResidentSource:
    """What batches are gathered from.

    Attributes:
        images: uint8 `(n, height, width, channels)`, on the device.
        labels: `(n, ...)`, on the device.
        transform: how images become network input.
    """

    images: Tensor
    labels: Tensor
    transform: Transform

    def prepare(self, draws: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Images, float32 `(batch, height, width, channels)`, and labels of a batch; see `kmodels.torch_step.prepare`.

        Args:
            draws: of the batch, `ResidentBatch.draws`.

        Raises:
            ValueError: the draws are not those of the transform.
        """
        return prepare(self.images, self.labels, draws, self.transform)


@dataclass(frozen=True, eq=False)
class ResidentBatch:
    """A batch that is yet to be prepared: `batch.source.prepare(batch.draws)`.

    Attributes:
        draws: small tensors on the device, each with one row an image: `indices` into the source, and the choices for
            each augmentation that is on.
        source: the same object for all batches of a feed.
    """

    draws: dict[str, Tensor]
    source: ResidentSource

    def __len__(self) -> int:
        """Images in the batch."""
        return len(self.draws["indices"])


@dataclass(frozen=True, eq=False)
class _Upload:
    """An array and where it lies on the device. It keeps the array, so that no other array can get its id."""

    array: npt.NDArray[Any]
    tensor: Tensor


_uploads: WeakValueDictionary[tuple[int, str], _Upload] = WeakValueDictionary()
"""By id and device: the feeds of one run, for training and for evaluation, share what they read."""


class _Batches(DataAdapter):  # type: ignore[misc, unused-ignore]
    """What Keras asks of every feed, from the images that take part, the batch size and the steps of an epoch."""

    def __init__(self, images: int, batch_size: int, steps: int, *, endless: bool) -> None:
        self._images, self._batch_size, self._steps, self._endless = images, batch_size, steps, endless

    @property
    def num_batches(self) -> int | None:
        """Batches of the one pass; None for training, whose epochs `fit` ends by its `steps_per_epoch`."""
        return None if self._endless else self._steps

    @property
    def batch_size(self) -> int:
        """Images of a full batch."""
        return self._batch_size

    @property
    def has_partial_batch(self) -> bool:
        """Whether the last batch of an epoch is short."""
        return self._images < self._steps * self._batch_size

    @property
    def partial_batch_size(self) -> int | None:
        """Images of an epoch's last batch if it is short, else None."""
        return self._images - (self._steps - 1) * self._batch_size if self.has_partial_batch else None


class ResidentBatches(_Batches):
    """Batches for a step that prepares them: of one pass in the given order, or of epoch after epoch in drawn orders.

    An instance is the `x` of `fit`, `evaluate` or `predict`, of a model that is built and whose train, test or predict
    function takes a list of `ResidentBatch`. Every iteration starts again at epoch 0. For a stock model there is
    `prepared()`.

    Args:
        images: uint8 `(n, height, width, channels)`, not to be written to while a feed of it is used: on a CPU the
            array itself is read, and on another device all feeds of it share one copy.
        labels: `(n, ...)`, likewise.
        indices: which images take part, `(count,)`.
        transform: what is done to them.
        batch_size: images a batch.
        steps: batches an epoch.
        draws: gives an epoch's draws, counted from 0; None for one pass without augmentation.
        steps_per_execution: batches that Keras hands over at once. Keras would take those that the last execution of
            an epoch lacks from the next epoch, or warn that there are none: it gets None for each of them instead.

    Example:
        >>> plain = Transform(mean=(0.0,), std=(1.0,))
        >>> feed = ResidentBatches(np.zeros((3, 2, 2, 1), np.uint8), np.array([0, 1, 2]), np.array([2, 1]), plain,
        ...                        batch_size=2, steps=1)
        >>> for batch in feed.get_torch_dataloader():
        ...     images, labels = batch.source.prepare(batch.draws)
        ...     tuple(images.shape), labels.tolist()
        ((2, 2, 2, 1), [2, 1])
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
        steps_per_execution: int = 1,
    ) -> None:
        super().__init__(len(indices), batch_size, steps, endless=draws is not None)
        self._indices, self._draws = np.asarray(indices, np.int64), draws
        self._device = torch.device(current_device())
        self._padding = -steps % steps_per_execution
        self._shared = self._once(images), self._once(labels)
        self.source = ResidentSource(self._shared[0].tensor, self._shared[1].tensor, transform)

    def prepared(self) -> PreparedBatches:
        """The same batches as `(images, labels)`, prepared before the step, for any model and any step."""
        return PreparedBatches(self, self._images, self._batch_size, self._steps, endless=self._endless)

    def get_torch_dataloader(self) -> Iterator[ResidentBatch | None]:
        """Yields the batches from epoch 0 on: of one pass, or without end."""
        for epoch in itertools.count() if self._endless else (0,):
            drawn = self.epoch(epoch)
            for start in range(0, self._steps * self._batch_size, self._batch_size):
                part = {name: values[start : start + self._batch_size] for name, values in drawn.items()}
                yield ResidentBatch(part, self.source)
            yield from itertools.repeat(None, self._padding)

    def epoch(self, epoch: int) -> dict[str, Tensor]:
        """Returns the draws of all images of an epoch, as `ResidentBatch.draws` has them of a batch.

        Args:
            epoch: counted from 0; without weight for one pass in the given order.
        """
        if self._draws is None:
            return {"indices": self._upload(self._indices)}
        drawn = self._draws(epoch)
        arrays: dict[str, npt.NDArray[Any]] = {"indices": self._indices[drawn.order]}
        if drawn.offsets is not None:
            arrays["offsets"] = drawn.offsets
        if drawn.flips is not None:
            arrays["flips"] = drawn.flips
        if drawn.angles is not None:
            arrays["terms"] = rotation_terms(drawn.angles)
        return {name: self._upload(values) for name, values in arrays.items()}

    def _once(self, array: npt.NDArray[Any]) -> _Upload:
        key = id(array), str(self._device)
        upload = _uploads.get(key)
        if upload is None:
            upload = _uploads[key] = _Upload(array, self._upload(array))
        return upload

    def _upload(self, array: npt.NDArray[Any]) -> Tensor:
        with warnings.catch_warnings():
            # PyTorch cannot mark a tensor as read-only and warns of it; nothing here writes to one.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self._device.type == "cuda":
            # From pinned memory the copy need not be waited for.
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)


class PreparedBatches(_Batches):
    """Resident batches that are prepared when Keras asks for them; made by `ResidentBatches.prepared`."""

    def __init__(self, batches: ResidentBatches, images: int, batch_size: int, steps: int, *, endless: bool) -> None:
        super().__init__(images, batch_size, steps, endless=endless)
        self._batches = batches

    def get_torch_dataloader(self) -> Iterator[tuple[Tensor, Tensor] | None]:
        """Yields images, float32 `(batch, height, width, channels)`, and labels, from epoch 0 on."""
        for batch in self._batches.get_torch_dataloader():
            yield None if batch is None else batch.source.prepare(batch.draws)
