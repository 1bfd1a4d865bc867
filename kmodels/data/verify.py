"""Whether four arrays are the data set they claim to be: shapes, labels, and the digest pinned in the catalog."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmodels.data.catalog import Facts
from kmodels.data.dataset import check_images, check_labels, content_digest
from kmodels.data.errors import DataDamaged

__all__ = ["verified"]

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def verified(arrays: Sequence[np.ndarray], facts: Facts, where: str) -> tuple[Arrays, str]:
    """Returns the arrays in their final types, and the digest of their content.

    Where the catalog pins a digest, the content must have it. Where it pins none (CIFAR-100) every class must have its
    number of images and the images' channel sums must be the published ones, whatever the order; which label belongs
    to which image is then not checked.

    Args:
        arrays: `x_train, y_train, x_test, y_test`; images may lack a channel axis of 1, labels may be `(images, 1)`.
        facts: what they must be.
        where: the file or source they were read from, for the error.

    Returns:
        Images as uint8 of shape `(images, height, width, channels)`, labels as int64 of shape `(images,)`; digest.

    Raises:
        DataDamaged: they are something else.
    """
    x_train, y_train, x_test, y_test = arrays
    try:
        x_train, x_test = check_images(x_train, "x_train"), check_images(x_test, "x_test")
        for name, images, count in (("x_train", x_train, facts.train_images), ("x_test", x_test, facts.test_images)):
            expected = (count, *facts.image_shape)
            if images.shape != expected:
                raise ValueError(f"{name}: expected shape {expected}. Received: shape={images.shape}")
        y_train = check_labels(y_train, "y_train", facts.train_images)
        y_test = check_labels(y_test, "y_test", facts.test_images)
        for name, labels in (("y_train", y_train), ("y_test", y_test)):
            if labels.max() >= len(facts.class_names):
                raise ValueError(f"{name}: expected labels below {len(facts.class_names)}. Received: {labels.max()}")
    except ValueError as error:
        raise DataDamaged(f"{where}: expected {facts.name}. {error}") from error
    digest = content_digest(x_train, y_train, x_test, y_test)
    if facts.digest is not None and digest != facts.digest:
        raise DataDamaged(
            f"{where}: expected the content of {facts.name}, sha256 {facts.digest}. Received: sha256 {digest}"
        )
    if facts.channel_sums is not None:
        _check_sums(x_train, y_train, x_test, y_test, facts, where)
    return (x_train, y_train, x_test, y_test), digest


def _check_sums(
    x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray, y_test: np.ndarray, facts: Facts, where: str
) -> None:
    for name, labels in (("y_train", y_train), ("y_test", y_test)):
        counts = np.bincount(labels, minlength=len(facts.class_names))
        if len(set(counts.tolist())) != 1:
            expected = f"{len(labels) // len(counts)} images of each class"
            raise DataDamaged(
                f"{where}: expected {facts.name}. {name}: expected {expected}. "
                f"Received: {counts.min()} to {counts.max()} images"
            )
    train, squares = _sums(x_train)
    sums = (train, squares, _sums(x_test)[0])
    assert facts.channel_sums is not None
    if sums != tuple(tuple(pinned) for pinned in facts.channel_sums):
        raise DataDamaged(
            f"{where}: expected the images of {facts.name}, channel sums {facts.channel_sums}. Received: {sums}"
        )


def _sums(images: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the sums of the values of each channel, and of their squares."""
    sums = np.zeros((2, images.shape[-1]), np.int64)
    # In slices, so that no wide copy of all images is made; float64 holds these whole numbers exactly.
    for start in range(0, len(images), 1_000):
        for channel in range(images.shape[-1]):
            values = images[start : start + 1_000, ..., channel].astype(np.float64).ravel()
            sums[:, channel] += int(values.sum()), int(values @ values)
    return tuple(sums[0].tolist()), tuple(sums[1].tolist())
