"""Labels without images, 30 kB a data set, kept in the package: scores can be checked where there is no data."""

from __future__ import annotations

import functools
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmodels.data.catalog import CATALOG
from kmodels.data.errors import DataDamaged
from kmodels.data.sources import load

__all__ = ["KEPT", "Labels", "labels_of"]

KEPT = {
    "mnist": "671ff9d70b4811116d55c3dd479efa7a981e2e62753ef7a6d5c15fea81e63d27",
    "cifar10": "3edb456524d5918aefded81f5aef7c32efab2a788211df998a4eb0c8957baa1f",
}
"""Data sets whose labels the package keeps, and the sha256 of those of training, then test images, one byte each."""

_FOLDER = Path(__file__).resolve().parent / "kept_labels"


@dataclass(frozen=True, eq=False)
class Labels:
    """The right classes of a data set's images, in canonical order.

    Attributes:
        name: of the data set.
        digest: sha256 of the whole data set's content, images included, that they belong to.
        train: of the training images, int64 of shape `(images,)`.
        test: of the test images, likewise.
        num_classes: number of classes.
    """

    name: str
    digest: str
    train: np.ndarray
    test: np.ndarray
    num_classes: int


@functools.cache
def labels_of(name: str) -> Labels:
    """Returns the labels of a data set: those that the package keeps, else those of the data set itself.

    Args:
        name: one that `kmodels.data.load` knows.

    Raises:
        ValueError: there is no data set of that name.
        DataError: what is kept is damaged, or the data set cannot be had.

    Example:
        >>> mnist = labels_of("mnist")
        >>> mnist.train[:5].tolist(), len(mnist.test), mnist.num_classes
        ([5, 0, 4, 1, 9], 10000, 10)
    """
    if name not in KEPT:
        dataset = load(name, report=lambda line: None)
        _, test = dataset.open_test("labels alone, to check kept predictions", log=lambda line: None)
        return Labels(name, dataset.digest, dataset.y_train, test, dataset.num_classes)
    facts, path = CATALOG[name], _FOLDER / f"{name}.npz"
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            train, test = kept["y_train"], kept["y_test"]
    except Exception as error:  # whatever a damaged zip file makes of NumPy
        raise DataDamaged(f"{path}: expected the labels of {name}. {type(error).__name__}: {error}") from error
    digest = hashlib.sha256(train.tobytes() + test.tobytes()).hexdigest()
    if digest != KEPT[name]:
        raise DataDamaged(f"{path}: expected the labels of {name}, sha256 {KEPT[name]}. Received: sha256 {digest}")
    assert facts.digest is not None
    return Labels(name, facts.digest, train.astype(np.int64), test.astype(np.int64), len(facts.class_names))
