"""A data set as one value: training images in the open, test images behind a guard that records each opening."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Dataset", "content_digest", "from_arrays"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of a training part, and a test part that is opened explicitly.

    The arrays are read-only, so that `digest` stays true of them.

    Attributes:
        name: name of the data set.
        x_train: training images, uint8 of shape `(images, height, width, channels)`, in canonical order.
        y_train: their labels, int64 of shape `(images,)`, in [0, number of classes).
        class_names: one name for each label.
        digest: sha256 of the whole content, see `content_digest`.
        source: where it came from, in words.

    Example:
        >>> from kmodels import data
        >>> digits = data.load("digits", report=lambda line: None)
        >>> digits.x_train.shape, digits.num_classes, digits.test_images
        ((1500, 8, 8, 1), 10, 297)
        >>> x_test, y_test = digits.open_test("an example", log=print)
        test split of digits opened: an example (297 images)
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    class_names: tuple[str, ...]
    digest: str
    source: str
    _x_test: np.ndarray = field(repr=False)
    _y_test: np.ndarray = field(repr=False)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.x_train.shape[1:]))
        return f"Dataset({self.name}: {len(self.x_train)} + {self.test_images} images of {shape}, from {self.source})"

    @property
    def test_images(self) -> int:
        """Number of test images; asking for it does not open the test split."""
        return len(self._x_test)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def open_test(self, reason: str, log: Callable[[str], None]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the test images and labels, and records that they were looked at.

        Args:
            reason: what they are opened for, in a few words on one line.
            log: receives one line, before the images are given out.

        Returns:
            The images, uint8 of shape `(images, height, width, channels)`, and their labels, int64 of shape
            `(images,)`, in canonical order.

        Raises:
            ValueError: no reason is given, or it is more than one line.
        """
        if not reason.strip() or len(reason.splitlines()) != 1:
            raise ValueError(f"reason: expected a few words on one line. Received: reason={reason!r}")
        log(f"test split of {self.name} opened: {reason} ({self.test_images} images)")
        return self._x_test, self._y_test


def content_digest(x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> str:
    """Returns the identity of a data set's content: a sha256 over all four arrays, one byte a value.

    Args:
        x_train: training images, uint8, in canonical order.
        y_train: their labels, in [0, 256).
        x_test: test images, uint8, in canonical order.
        y_test: their labels, in [0, 256).

    Example:
        >>> import numpy as np
        >>> content_digest(*[np.zeros(1, np.uint8)] * 4)[:8]
        'df3f6198'
    """
    digest = hashlib.sha256()
    for array in (x_train, y_train, x_test, y_test):
        digest.update(np.ascontiguousarray(array, dtype=np.uint8).data)
    return digest.hexdigest()


def from_arrays(
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    *,
    name: str,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Returns a data set made of a user's own arrays.

    Args:
        x_train: training images, uint8 of shape `(images, height, width, channels)` or `(images, height, width)`.
        y_train: their labels, integers of shape `(images,)` or `(images, 1)`, from 0.
        x_test: test images, of the same height, width and channels.
        y_test: their labels.
        name: name of the data set, for tables and files.
        class_names: one name for each label; by default the labels' numbers, up to the largest one.

    Raises:
        ValueError: an array has another type or shape, a label is out of range, or there are more than 256 classes.

    Example:
        >>> import numpy as np
        >>> images = np.zeros((6, 4, 4), np.uint8)
        >>> mine = from_arrays(images, np.arange(6) % 3, images[:2], np.array([0, 1]), name="mine")
        >>> mine.x_train.shape, mine.class_names
        ((6, 4, 4, 1), ('0', '1', '2'))
    """
    if not name:
        raise ValueError(f"name: expected a name. Received: name={name!r}")
    x_train, x_test = check_images(x_train, "x_train"), check_images(x_test, "x_test")
    if x_test.shape[1:] != x_train.shape[1:]:
        raise ValueError(f"x_test: expected images of shape {x_train.shape[1:]}. Received: shape={x_test.shape[1:]}")
    y_train, y_test = check_labels(y_train, "y_train", len(x_train)), check_labels(y_test, "y_test", len(x_test))
    largest = int(max(y_train.max(), y_test.max()))
    names = tuple(class_names) if class_names is not None else tuple(str(label) for label in range(largest + 1))
    if largest >= len(names):
        raise ValueError(f"class_names: expected {largest + 1} names or more. Received: class_names={names!r}")
    if not 2 <= len(names) <= 256:
        raise ValueError(f"class_names: expected 2 to 256 classes. Received: {len(names)} classes")
    digest = content_digest(x_train, y_train, x_test, y_test)
    return guarded(name, (x_train, y_train, x_test, y_test), names, digest, "the user's own arrays")


def guarded(name: str, arrays: Sequence[np.ndarray], class_names: tuple[str, ...], digest: str, source: str) -> Dataset:
    """Returns the data set over read-only views of four checked arrays (the caller's own stay writable)."""
    views = [array.view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    x_train, y_train, x_test, y_test = views
    return Dataset(name, x_train, y_train, class_names, digest, source, x_test, y_test)


def check_images(images: np.ndarray, name: str) -> np.ndarray:
    """Returns images with their channel axis.

    Raises:
        ValueError: they are not uint8 of shape `(n, h, w)` or `(n, h, w, c)`, or there are none.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = getattr(images, "dtype", type(images).__name__)
        raise ValueError(f"{name}: expected an array of uint8, values 0 to 255. Received: dtype={kind}")
    if images.ndim not in (3, 4) or 0 in images.shape:
        expected = "shape (images, height, width) or (images, height, width, channels), none of them 0"
        raise ValueError(f"{name}: expected {expected}. Received: shape={images.shape}")
    return images[..., None] if images.ndim == 3 else images


def check_labels(labels: np.ndarray, name: str, images: int) -> np.ndarray:
    """Returns labels as int64 of shape `(images,)`.

    Raises:
        ValueError: they are not integers of shape `(images,)` or `(images, 1)`, or below 0 or above 255.
    """
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        kind = getattr(labels, "dtype", type(labels).__name__)
        raise ValueError(f"{name}: expected an array of integers. Received: dtype={kind}")
    if labels.shape not in ((images,), (images, 1)):
        raise ValueError(f"{name}: expected shape ({images},) or ({images}, 1). Received: shape={labels.shape}")
    if labels.min() < 0 or labels.max() > 255:
        raise ValueError(f"{name}: expected labels from 0 to 255. Received: {labels.min()} to {labels.max()}")
    return labels.reshape(-1).astype(np.int64)
