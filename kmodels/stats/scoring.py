"""What kept predictions are worth: exact numbers from a run file's arrays and the labels, without Keras.

`scores_on_test(predictions, labels)` gives all scores of a run's test images, as they stand in its file. Each alone:
`accuracy`, `per_class_accuracy` and `confusion_matrix` from classes; `negative_log_likelihood` from
`Predictions.true_class_probability`; `reliability_bins` and `expected_calibration_error` from
`Predictions.confidence`. Probabilities are whole numbers of 1/65535 steps, so that counts and sums are whole numbers:
only the logarithm can differ from machine to machine, in its last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kmodels.results.predictions import STEPS, Predictions, of_validation

__all__ = ["BINS", "ReliabilityBin", "accuracy", "confusion_matrix", "expected_calibration_error"]
__all__ += ["further_validation_scores", "negative_log_likelihood", "per_class_accuracy", "reliability_bins"]
__all__ += ["scores_on_test"]

BINS = 15
"""Bins of equal width that confidences are put into, as in Guo et al. 2017. 65535 is 15 times 4369, so that the bins'
edges are whole steps."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence lies in one interval.

    Attributes:
        low: lower end, excluded; the first bin has 0 too.
        high: upper end, included.
        images: how many there are.
        right: how many of them were classified rightly.
        confidence: their mean confidence, 0 to 1; NaN where there is no image.
    """

    low: float
    high: float
    images: int
    right: int
    confidence: float

    @property
    def accuracy(self) -> float:
        """Share of the images that were classified rightly; NaN where there is none."""
        return self.right / self.images if self.images else math.nan


def scores_on_test(predictions: Predictions, labels: np.ndarray) -> dict[str, float]:
    """Returns the scores of a run's test images by name, from what is stored: whoever has the file has these numbers.

    `test_accuracy` always; `test_nll` and `test_ece` where the probabilities they need were kept; the accuracies of
    other ways of testing, by the names that their classes have in `Predictions.further`.

    Args:
        predictions: what the run said.
        labels: right classes of the same images, integers of shape `(images,)`.

    Raises:
        ValueError: there are more or fewer labels than predictions, or none.

    Example:
        >>> said = Predictions(np.array([1, 0], "uint8"), np.array([65535, 6553], "uint16"))
        >>> {name: round(value, 4) for name, value in scores_on_test(said, np.array([1, 1])).items()}
        {'test_accuracy': 0.5, 'test_nll': 1.1513}
    """
    scores = {"test_accuracy": accuracy(predictions.classes, labels)}
    if predictions.true_class_probability is not None:
        scores["test_nll"] = negative_log_likelihood(predictions.true_class_probability)
    if predictions.confidence is not None:
        scores["test_ece"] = expected_calibration_error(predictions.classes, predictions.confidence, labels)
    further = {name: classes for name, classes in predictions.further.items() if not of_validation(name)}
    return scores | {name: accuracy(classes, labels) for name, classes in further.items()}


def further_validation_scores(predictions: Predictions, labels: np.ndarray, *, on_test: bool) -> dict[str, float]:
    """Returns the accuracies on the validation images that a run has beside its own, by name.

    Args:
        predictions: what the run said.
        labels: right classes of the validation images, integers of shape `(images,)`.
        on_test: whether the validation images are the first of the test images: the classes are then those of the
            scores named `…_test_accuracy`, kept once.

    Raises:
        ValueError: there are more or fewer labels than predictions, or none.

    Example:
        >>> said = Predictions(np.array([1, 0], "uint8"), further={"majority_test_accuracy": np.array([1, 1], "uint8")})
        >>> further_validation_scores(said, np.array([1, 0]), on_test=True)
        {'majority_validation_accuracy': 0.5}
    """
    if not on_test:
        found = {name: classes for name, classes in predictions.further.items() if of_validation(name)}
        return {name: accuracy(classes, labels) for name, classes in found.items()}
    tested = {n: classes for n, classes in predictions.further.items() if n.endswith("_test_accuracy")}
    return {
        f"{name.removesuffix('_test_accuracy')}_validation_accuracy": accuracy(classes[: len(labels)], labels)
        for name, classes in tested.items()
    }


def accuracy(classes: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of images whose predicted class is the right one.

    Args:
        classes: predicted classes, integers of shape `(images,)`.
        labels: right ones, likewise.

    Raises:
        ValueError: there are more or fewer labels than predictions, or none.
    """
    return int(_right(classes, labels).sum()) / len(labels)


def confusion_matrix(classes: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns how often each class was taken for which: int64 `(right class, predicted class)`.

    Args:
        classes: predicted classes, integers of shape `(images,)`, below `num_classes`.
        labels: right ones, likewise.
        num_classes: number of classes, 1 or more.

    Raises:
        ValueError: there are more or fewer labels than predictions, or none, or one is out of range.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    _right(classes, labels)
    for name, values in (("classes", classes), ("labels", labels)):
        if values.min() < 0 or values.max() >= num_classes:
            expected = f"classes from 0 to {num_classes - 1}"
            raise ValueError(f"{name}: expected {expected}. Received: {values.min()} to {values.max()}")
    cells = labels.astype(np.int64) * num_classes + classes
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def per_class_accuracy(classes: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the accuracy over the images of each class, float64 `(num_classes,)`; NaN for a class without images.

    Args:
        classes: predicted classes, integers of shape `(images,)`, below `num_classes`.
        labels: right ones, likewise.
        num_classes: number of classes, 1 or more.

    Raises:
        ValueError: there are more or fewer labels than predictions, or none, or one is out of range.

    Example:
        >>> per_class_accuracy(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
        [0.5, 1.0]
    """
    matrix = confusion_matrix(classes, labels, num_classes)
    images = matrix.sum(axis=1)
    shares = np.full(num_classes, np.nan)
    np.divide(matrix.diagonal(), images, out=shares, where=images > 0)
    return shares


def negative_log_likelihood(true_class_probability: np.ndarray) -> float:
    """Returns the mean of -ln p over images, in nats, p being what the right class was given.

    Half a step stands for a probability that was rounded to zero.

    Args:
        true_class_probability: in 1/65535 steps, uint16 of shape `(images,)`, not empty.

    Raises:
        ValueError: there is no image.

    Example:
        >>> negative_log_likelihood(np.array([65535], "uint16"))
        0.0
    """
    if not len(true_class_probability):
        raise ValueError("true_class_probability: expected one image or more. Received: none")
    return float(-np.log(np.maximum(true_class_probability, 0.5) / STEPS).mean()) + 0.0  # never -0.0


def expected_calibration_error(classes: np.ndarray, confidence: np.ndarray, labels: np.ndarray) -> float:
    """Returns the expected calibration error: how far confidence and accuracy lie apart, 0 to 1.

    ECE = Σₘ |Bₘ| / n · |accuracy(Bₘ) − mean confidence(Bₘ)| over 15 bins Bₘ of equal width, n images in all. In steps
    of 1/65535 this is a whole number divided by n · 65535, so every machine finds the same.

    Args:
        classes: predicted classes, integers of shape `(images,)`.
        confidence: probability given to the predicted class, in 1/65535 steps, uint16 of shape `(images,)`.
        labels: right classes, integers of shape `(images,)`.

    Raises:
        ValueError: there are more or fewer labels than predictions, or none.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.

    Example:
        >>> sure = np.array([65535, 65535], "uint16")
        >>> expected_calibration_error(np.array([0, 1]), sure, np.array([0, 0]))
        0.5
    """
    _, right, sums = _binned(classes, confidence, labels)
    return int(np.abs(right * STEPS - sums).sum()) / (STEPS * len(labels))


def reliability_bins(classes: np.ndarray, confidence: np.ndarray, labels: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """Returns the 15 bins of a reliability diagram, by confidence.

    Args:
        classes: predicted classes, integers of shape `(images,)`.
        confidence: probability given to the predicted class, in 1/65535 steps, uint16 of shape `(images,)`.
        labels: right classes, integers of shape `(images,)`.

    Raises:
        ValueError: there are more or fewer labels than predictions, or none.

    Example:
        >>> last = reliability_bins(np.array([0, 1]), np.array([65535, 65535], "uint16"), np.array([0, 0]))[-1]
        >>> last.images, last.accuracy, last.confidence
        (2, 0.5, 1.0)
    """
    images, right, sums = (part.tolist() for part in _binned(classes, confidence, labels))
    return tuple(
        ReliabilityBin(
            m / BINS, (m + 1) / BINS, images[m], right[m], sums[m] / (STEPS * images[m]) if images[m] else math.nan
        )
        for m in range(BINS)
    )


def _binned(
    classes: np.ndarray, confidence: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of each bin, right ones among them, and sum of their confidences in steps: int64 `(BINS,)` each."""
    right = _right(classes, labels)
    if confidence.shape != labels.shape:
        raise ValueError(f"confidence: expected shape {labels.shape}. Received: shape={confidence.shape}")
    steps = confidence.astype(np.int64)
    place = np.maximum(steps - 1, 0) // (STEPS // BINS)  # lower edges are excluded, upper ones included
    images, hits, sums = np.zeros((3, BINS), np.int64)
    np.add.at(images, place, 1)
    np.add.at(hits, place, right)
    np.add.at(sums, place, steps)
    return images, hits, sums


def _right(classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if labels.ndim != 1 or not len(labels) or classes.shape != labels.shape:
        expected = "as many as predicted classes, one or more"
        raise ValueError(f"labels: expected {expected}. Received: shapes {labels.shape} and {classes.shape}")
    right: np.ndarray = classes == labels
    return right
