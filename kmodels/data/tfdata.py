"""The same batches as `kmodels.data.memory`, prepared by TensorFlow's tf.data in threads of its own.

Whatever is random arrives as data, drawn by NumPy once an epoch; TensorFlow only gathers and computes, in the integer
arithmetic of `kmodels.geometry`.
"""

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kmodels.augment import Draws, Transform, scale_and_shift
from kmodels.geometry import ANGLE_BITS, FRACTION_BITS, resize_taps, rotation_terms

__all__ = ["tfdata_batches"]

_ONE, _HALF = 1 << FRACTION_BITS, 1 << (2 * FRACTION_BITS - 1)
# More threads than this gain nothing: the batches of the reports' sizes are small, and the training needs cores too.
_THREADS = min(4, os.cpu_count() or 1)


def tfdata_batches(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[Any],
    indices: npt.NDArray[np.integer],
    transform: Transform,
    *,
    batch_size: int,
    steps: int,
    draws: Callable[[int], Draws] | None = None,
) -> Any:
    """Batches of one pass in the given order, or of epoch after epoch in the drawn orders.

    Args:
        images: uint8 `(n, height, width, channels)`; TensorFlow takes one copy of the set.
        labels: `(n, ...)`.
        indices: which images take part, `(count,)`.
        transform: what is done to them.
        batch_size: images a batch.
        steps: batches an epoch.
        draws: gives an epoch's draws, counted from 0; None for one pass without augmentation.

    Returns:
        A `tf.data.Dataset` of images, float32 `(batch, height, width, channels)`, and labels. Every iteration over it
        starts again at epoch 0; without draws it ends after `steps` batches, with draws when `draws` raises.
    """
    if keras.backend.backend() != "tensorflow" and tf.config.get_visible_devices("GPU"):
        # TensorFlow would take the memory of a GPU that PyTorch or JAX trains on. It raises if it has begun to use it.
        tf.config.set_visible_devices([], "GPU")
    with tf.device("/CPU:0"):
        resident, answers, part = tf.constant(images), tf.constant(labels), tf.constant(indices)
        prepare = _Prepare(transform, images.shape[1:])

        def batches_of(epoch: Any) -> Any:
            order, *choices = (None, None, None, None) if draws is None else _drawn(draws, epoch, transform)

            def batch(step: Any) -> Any:
                places = slice(step * batch_size, tf.minimum((step + 1) * batch_size, len(indices)))
                chosen = part[places] if order is None else tf.gather(part, order[places])
                mine = [None if choice is None else choice[places] for choice in choices]
                return prepare(tf.gather(resident, chosen), *mine), tf.gather(answers, chosen)

            return tf.data.Dataset.range(steps).map(batch, num_parallel_calls=_THREADS, deterministic=True)

        dataset = batches_of(0) if draws is None else tf.data.Dataset.counter().flat_map(batches_of)
        options = tf.data.Options()
        options.threading.private_threadpool_size = _THREADS
        options.threading.max_intra_op_parallelism = 1
        return dataset.prefetch(2 * _THREADS).with_options(options)


def _drawn(draws: Callable[[int], Draws], epoch: Any, transform: Transform) -> list[Any]:
    """Order, offsets, flips and rotation terms of an epoch as tensors; None for an augmentation that is off."""
    # Type and shape of each array that this transform has draws for.
    kinds = {
        "order": (tf.int32, [None]),
        **({"offsets": (tf.int32, [None, 2])} if transform.crop_padding else {}),
        **({"flips": (tf.bool, [None])} if transform.flip else {}),
        **({"terms": (tf.int32, [None, 2])} if transform.rotation_degrees else {}),
    }

    def draw(number: Any) -> list[npt.NDArray[Any]]:
        drawn = draws(int(number))
        arrays: dict[str, npt.NDArray[Any]] = {"order": drawn.order}
        if drawn.flips is not None:
            arrays["flips"] = drawn.flips
        if drawn.offsets is not None:
            arrays["offsets"] = drawn.offsets.astype(np.int32)
        if drawn.angles is not None:
            arrays["terms"] = rotation_terms(drawn.angles)
        return [arrays[name] for name in kinds]

    tensors = tf.numpy_function(draw, [epoch], [dtype for dtype, _ in kinds.values()])
    shaped = {name: tf.ensure_shape(x, shape) for x, (name, (_, shape)) in zip(tensors, kinds.items(), strict=True)}
    return [shaped.get(name) for name in ("order", "offsets", "flips", "terms")]


class _Prepare:
    """`kmodels.augment.apply` in TensorFlow, for images of one shape."""

    def __init__(self, transform: Transform, image_shape: tuple[int, ...]) -> None:
        self._transform = transform
        self._shape_in, self._shape_out = image_shape, transform.output_shape(image_shape)
        # Tiled over a whole image: TensorFlow is 3 times slower when it repeats 3 numbers a pixel.
        area = self._shape_out[0] * self._shape_out[1]
        self._scale, self._shift = (tf.constant(np.tile(x, area)) for x in scale_and_shift(transform))

    def __call__(self, images: Any, offsets: Any, flips: Any, terms: Any) -> Any:
        if offsets is not None or flips is not None:
            images = self._crop_and_flip(images, offsets, flips)
        if terms is not None:
            images = self._rotate(images, terms)
        if self._shape_out != self._shape_in:
            images = self._pad(images) if self._transform.resize == "pad" else self._resize(images)
        flat = tf.cast(tf.reshape(images, [-1, self._scale.shape[0]]), tf.float32)
        return tf.reshape(flat * self._scale + self._shift, [-1, *self._shape_out])

    def _crop_and_flip(self, images: Any, offsets: Any, flips: Any) -> Any:
        h, w, c = self._shape_in
        padding = self._transform.crop_padding
        n = tf.shape(images)[0]
        y, x = tf.range(h)[None, :], tf.range(w)[None, :]
        if flips is not None:
            x = tf.where(flips[:, None], x[:, ::-1], x)
        if offsets is not None:
            y, x = y + offsets[:, :1], x + offsets[:, 1:]
            images = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
        tall, wide = h + 2 * padding, w + 2 * padding
        at = (tf.range(n)[:, None, None] * tall + y[:, :, None]) * wide + x[:, None, :]
        return tf.gather(tf.reshape(images, [-1, c]), at)

    def _rotate(self, images: Any, terms: Any) -> Any:
        h, w, c = self._shape_in
        cos, sin = terms[:, 0, None, None], terms[:, 1, None, None]
        down, right = tf.range(1 - h, h, 2)[:, None], tf.range(1 - w, w, 2)
        shift = ANGLE_BITS + 1 - FRACTION_BITS
        half = 1 << (shift - 1)
        y = _right_shift(cos * down + sin * right + (((h - 1) << ANGLE_BITS) + half), shift)
        x = _right_shift(cos * right - sin * down + (((w - 1) << ANGLE_BITS) + half), shift)
        fy, fx = (y & (_ONE - 1))[..., None], (x & (_ONE - 1))[..., None]
        y = tf.clip_by_value(_right_shift(y, FRACTION_BITS), -2, h) + 2
        x = tf.clip_by_value(_right_shift(x, FRACTION_BITS), -2, w) + 2
        padded = tf.pad(images, [[0, 0], [2, 2], [2, 2], [0, 0]])
        flat = tf.cast(tf.reshape(padded, [-1, c]), tf.int32)
        at = (tf.range(tf.shape(images)[0])[:, None, None] * (h + 4) + y) * (w + 4) + x
        top = (_ONE - fx) * tf.gather(flat, at) + fx * tf.gather(flat, at + 1)
        bottom = (_ONE - fx) * tf.gather(flat, at + (w + 4)) + fx * tf.gather(flat, at + (w + 5))
        return tf.cast(_right_shift((_ONE - fy) * top + fy * bottom + _HALF, 2 * FRACTION_BITS), tf.uint8)

    def _pad(self, images: Any) -> Any:
        sides = [(out - size) for out, size in zip(self._shape_out[:2], self._shape_in[:2], strict=True)]
        return tf.pad(images, [[0, 0], *([side // 2, side - side // 2] for side in sides), [0, 0]])

    def _resize(self, images: Any) -> Any:
        top, bottom, fy = resize_taps(self._shape_in[0], self._shape_out[0])
        left, right, fx = resize_taps(self._shape_in[1], self._shape_out[1])
        fy, fx = fy[:, None, None], fx[:, None]
        pixels = tf.cast(images, tf.int32)
        columns = (_ONE - fx) * tf.gather(pixels, left, axis=2) + fx * tf.gather(pixels, right, axis=2)
        pixels = (_ONE - fy) * tf.gather(columns, top, axis=1) + fy * tf.gather(columns, bottom, axis=1)
        return tf.cast(_right_shift(pixels + _HALF, 2 * FRACTION_BITS), tf.uint8)


def _right_shift(x: Any, bits: int) -> Any:
    return tf.bitwise.right_shift(x, bits)
