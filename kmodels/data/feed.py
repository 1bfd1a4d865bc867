"""One way to hand images to Keras' `fit`, `evaluate` and `predict`, whichever pipeline prepares them."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from kmodels.augment import Draws, Transform, draw_epoch
from kmodels.checks import require

__all__ = ["PIPELINES", "Feed", "evaluation_feed", "training_feed"]

PIPELINES = ("memory", "tfdata", "resident")
"""By what batches can be prepared: NumPy, TensorFlow's tf.data, or the training step itself on PyTorch."""


@dataclass(frozen=True)
class Feed:
    """Batches as Keras takes them.

    Attributes:
        x: the `x` of `fit`, `evaluate` or `predict`; yields `(images, labels)`, images float32
            `(batch, height, width, channels)`, labels as they were given. That of the `resident` pipeline yields
            `kmodels.torch_step.resident.ResidentBatch`, which the step makes them from.
        steps_per_epoch: batches an epoch. `fit` must be given it together with `x`, since a training feed goes on from
            one epoch's draws to the next by counting batches.
        images: images an epoch, without those that `drop_last` leaves out.
    """

    x: Any
    steps_per_epoch: int
    images: int


def _check(
    pipeline: str,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[Any],
    indices: npt.NDArray[np.integer],
    transform: Transform,
    batch_size: int,
    steps_per_execution: int,
) -> None:
    require(pipeline in PIPELINES, "pipeline", "'memory', 'tfdata' or 'resident'", pipeline)
    if pipeline == "resident":
        backend = keras.backend.backend()
        require(backend == "torch", "pipeline", f"'memory' or 'tfdata' under KERAS_BACKEND={backend}", pipeline)
    most = "1 or more" if pipeline == "resident" else "1, since only the 'resident' pipeline fills up executions"
    fits = steps_per_execution >= 1 and (steps_per_execution == 1 or pipeline == "resident")
    require(fits, "steps_per_execution", most, steps_per_execution)
    require(images.ndim == 4, "images", "shape (n, height, width, channels)", images.shape)
    require(images.dtype == np.uint8, "images", "dtype uint8", images.dtype.name)
    require(len(labels) == len(images), "labels", f"{len(images)} of them, one an image", len(labels))
    require(indices.ndim == 1 and len(indices) > 0, "indices", "shape (count,) with count 1 or more", indices.shape)
    require(np.issubdtype(indices.dtype, np.integer), "indices", "an integer dtype", indices.dtype.name)
    for end in (int(indices.min()), int(indices.max())):
        require(0 <= end < len(images), "indices", f"numbers from 0 to {len(images) - 1}", end)
    require(batch_size >= 1, "batch_size", "1 or more", batch_size)
    transform.output_shape(images.shape[1:])


def _batches(pipeline: str, steps_per_execution: int) -> Any:
    if pipeline == "memory":
        from kmodels.data.memory import MemoryBatches

        return MemoryBatches
    if pipeline == "resident":
        from kmodels.torch_step.resident import ResidentBatches  # imports PyTorch: only when it is asked for

        return partial(ResidentBatches, steps_per_execution=steps_per_execution)
    from kmodels.data.tfdata import tfdata_batches  # imports TensorFlow: only when it is asked for

    return tfdata_batches


def training_feed(
    pipeline: str,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[Any],
    indices: npt.NDArray[np.integer],
    transform: Transform,
    *,
    batch_size: int,
    drop_last: bool,
    seed: int,
    fold: int,
    epochs: int,
    first_epoch: int = 0,
    steps_per_execution: int = 1,
) -> Feed:
    """Shuffled, augmented batches, epoch after epoch: `fit(feed.x, steps_per_epoch=feed.steps_per_epoch, ...)`.

    Epoch `e` is `draw_epoch(len(indices), transform, seed=seed, fold=fold, epoch=e)` on every pipeline and every
    backend: order, crops, flips, padding, rotation and resizing are the same bytes, normalised values agree within
    1e-6.

    Args:
        pipeline: `memory` (NumPy, from the resident array), `tfdata` (TensorFlow's tf.data) or `resident` (PyTorch,
            inside a training step that takes `ResidentBatch`; for the torch backend alone).
        images: uint8 `(n, height, width, channels)`, the whole resident set, which is not copied on a CPU.
        labels: `(n, ...)`, of any numeric dtype.
        indices: integers `(count,)`, the images to train on.
        transform: crop, flip, rotate, pad or resize, normalise.
        batch_size: images a step, 1 or more.
        drop_last: leave out a last batch that is not full.
        seed: of the run.
        fold: part of the split.
        epochs: the epoch number `fit` stops before, as its argument of this name.
        first_epoch: epochs done before, when a run goes on: the `initial_epoch` of `fit`.
        steps_per_execution: of the model. Where an epoch is no multiple of it, `resident` hands None to the step for
            each batch that the last execution lacks.

    Returns:
        A feed whose `x` has no end of its own: `fit` counts its epochs by `steps_per_epoch`.

    Raises:
        ValueError: an argument is outside its range; the message names it. While training: more batches are asked for
            than the epochs have, because `fit` was not given `steps_per_epoch`.

    Example:
        >>> plain = Transform(mean=(0.0,), std=(1.0,))
        >>> feed = training_feed("memory", np.zeros((100, 8, 8, 1), np.uint8), np.zeros(100, np.int32), np.arange(90),
        ...                      plain, batch_size=32, drop_last=False, seed=0, fold=0, epochs=2)
        >>> feed.steps_per_epoch, feed.images, feed.x[0][0].shape
        (3, 90, (32, 8, 8, 1))
    """
    _check(pipeline, images, labels, indices, transform, batch_size, steps_per_execution)
    require(epochs > first_epoch >= 0, "first_epoch", f"0 or more, below epochs={epochs}", first_epoch)
    count = len(indices)
    steps = count // batch_size if drop_last else -(-count // batch_size)
    require(steps >= 1, "batch_size", f"{count} or less: with drop_last no batch of this size is full", batch_size)

    def draws(passed: int) -> Draws:
        # One epoch more than was asked for is allowed: prefetching backends look ahead.
        if first_epoch + passed > epochs:
            raise ValueError(
                f"steps_per_epoch: expected fit(..., steps_per_epoch={steps}, epochs={epochs}, "
                f"initial_epoch={first_epoch}). Received: batches={passed * steps} asked for and more"
            )
        return draw_epoch(count, transform, seed=seed, fold=fold, epoch=first_epoch + passed)

    batches = _batches(pipeline, steps_per_execution)
    x = batches(images, labels, indices, transform, batch_size=batch_size, steps=steps, draws=draws)
    return Feed(x, steps, min(count, steps * batch_size))


def evaluation_feed(
    pipeline: str,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[Any],
    indices: npt.NDArray[np.integer],
    transform: Transform,
    *,
    batch_size: int = 500,
    steps_per_execution: int = 1,
) -> Feed:
    """Every image once, in the order of `indices`, not augmented; the last batch may be short.

    Args:
        pipeline: `memory`, `tfdata` or `resident`.
        images: uint8 `(n, height, width, channels)`, the whole resident set, which is not copied on a CPU.
        labels: `(n, ...)`.
        indices: integers `(count,)`, the images to evaluate on.
        transform: as in training; only its size and normalisation are used.
        batch_size: images a step, 1 or more.
        steps_per_execution: of the model, as in training.

    Returns:
        A feed that ends after one pass, so that `evaluate` and `predict` need nothing but `x`.

    Raises:
        ValueError: an argument is outside its range; the message names it.

    Example:
        >>> plain = Transform(mean=(0.0,), std=(1.0,))
        >>> feed = evaluation_feed("memory", np.zeros((9, 8, 8, 1), np.uint8), np.arange(9), np.array([5, 7]), plain)
        >>> feed.steps_per_epoch, feed.x[0][1].tolist()
        (1, [5, 7])
    """
    _check(pipeline, images, labels, indices, transform, batch_size, steps_per_execution)
    steps = -(-len(indices) // batch_size)
    batches = _batches(pipeline, steps_per_execution)
    x = batches(images, labels, indices, transform, batch_size=batch_size, steps=steps)
    return Feed(x, steps, len(indices))
