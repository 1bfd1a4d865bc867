"""Which classes are taken for which: confusion matrices and accuracies per class from stored predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kmodels.results.runs import Run
from kmodels.stats.scoring import confusion_matrix

__all__ = ["ClassScores", "Labels", "class_scores"]


@dataclass(frozen=True)
class Labels:
    """Right classes of a data set's test images.

    Attributes:
        digest: digest of the data set they belong to.
        values: integers of shape `(images,)`, in the images' canonical order.
        names: one for each class.
    """

    digest: str
    values: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class ClassScores:
    """What a cell's runs took each class for.

    Attributes:
        names: one for each class.
        shares: percent of a class' test images that were taken for each class, mean over the runs; float64
            `(right class, predicted class)`.
        runs: how many runs.
        images: how many test images.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    runs: int
    images: int

    @property
    def per_class(self) -> list[float]:
        """Percent of each class' images that were classified rightly."""
        return [float(share) for share in self.shares.diagonal()]

    def heat(self, right: int, predicted: int) -> int:
        """Returns how strongly a cell of the matrix is coloured, 0 to 60: by the root, as errors are few."""
        share = float(self.shares[right, predicted])
        return round(6 * math.sqrt(share)) if math.isfinite(share) else 0

    def mistakes(self, count: int = 3) -> list[tuple[str, str, float]]:
        """Returns the most frequent errors: right class, what it was taken for, percent of the class' images."""
        errors = [
            (float(share), right, predicted)
            for (right, predicted), share in np.ndenumerate(self.shares)
            if right != predicted and share > 0
        ]
        ordered = sorted(errors, key=lambda error: (-error[0], error[1:]))[:count]
        return [(self.names[right], self.names[predicted], share) for share, right, predicted in ordered]


def class_scores(runs: Iterable[Run], labels: Labels) -> ClassScores | None:
    """Returns what runs took each class for on the test images; None where none kept its predictions.

    Args:
        runs: runs of one cell; those on other data, or without predictions, are left out.
        labels: the right classes.

    Raises:
        ValueError: predictions do not fit the labels.
    """
    count, total = 0, np.zeros((len(labels.names),) * 2, np.int64)
    for run in runs:
        if run.predictions is not None and run.data["digest"] == labels.digest:
            total += confusion_matrix(run.predictions.classes, labels.values, len(labels.names))
            count += 1
    if not count:
        return None
    images = total.sum(axis=1, keepdims=True)
    shares = np.full(total.shape, np.nan)
    np.divide(100.0 * total, images, out=shares, where=images > 0)
    return ClassScores(labels.names, shares, count, len(labels.values))
