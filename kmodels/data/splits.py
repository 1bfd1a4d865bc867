"""Which training images a network learns from and which it is validated on: index arrays, never copies of images."""

from __future__ import annotations

import numpy as np

from kmodels.spec.experiment import Split

__all__ = ["split_indices"]


def split_indices(split: Split, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Returns the training and validation part of each fold.

    Args:
        split: how the images are divided. The K-fold and hold-out kinds are scikit-learn's `KFold`,
            `StratifiedKFold`, `ShuffleSplit` and `StratifiedShuffleSplit`, shuffled with `split.random_state`;
            `batches` holds out the last fifth (rounded down) in the data set's own order, for CIFAR-10 its fifth
            batch; `test` trains on everything.
        labels: labels of the training images in canonical order, integers of shape `(images,)`.

    Returns:
        For each fold the indices of its training part and of its validation part, ascending, int64; None for the
        validation part of kind `test`, which is the test split.

    Raises:
        ValueError: there are too few images, or too few of one class, for the split.

    Reference:
        `KFold(10, shuffle=True, random_state=0)`: report A, rows A-1.1 and A-1.2. `batches`: report E.

    Example:
        >>> import numpy as np
        >>> [(train, validation)] = split_indices(Split(kind="batches"), np.zeros(10, np.int64))
        >>> train.tolist(), validation.tolist()
        ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9])
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels: expected integers of shape (images,). Received: dtype={labels.dtype}, shape={labels.shape}"
        )
    everything = np.arange(len(labels), dtype=np.int64)
    if split.kind == "test":
        return [(everything, None)]
    if split.kind == "batches":
        held_out = len(labels) // 5
        if held_out == 0:
            raise ValueError(f"labels: expected 5 images or more for kind='batches'. Received: {len(labels)} images")
        return [(everything[:-held_out], everything[-held_out:])]
    return [(np.sort(train), np.sort(validation)) for train, validation in _shuffled(split, labels)]


def _shuffled(split: Split, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    # Imported here: scikit-learn takes half a second, and the kinds above do without it.
    from sklearn import model_selection

    folds = {"n_splits": split.folds, "shuffle": True, "random_state": split.random_state}
    part = {"n_splits": 1, "test_size": split.validation_fraction, "random_state": split.random_state}
    splitter = {
        "kfold": lambda: model_selection.KFold(**folds),
        "stratified_kfold": lambda: model_selection.StratifiedKFold(**folds),
        "holdout": lambda: model_selection.ShuffleSplit(**part),
        "stratified_holdout": lambda: model_selection.StratifiedShuffleSplit(**part),
    }[split.kind]()
    if split.kind == "stratified_kfold":
        smallest = min(np.unique(labels, return_counts=True)[1].tolist(), default=0)
        if smallest < split.folds:
            # scikit-learn only warns here, and then some folds lack a class.
            raise ValueError(
                f"labels: expected {split.folds} images or more of each class for folds={split.folds}. "
                f"Received: a class of {smallest}"
            )
    images = np.zeros((len(labels), 1), np.uint8)
    return [(train.astype(np.int64), held.astype(np.int64)) for train, held in splitter.split(images, labels)]
