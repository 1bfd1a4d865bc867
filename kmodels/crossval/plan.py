"""What a cross-validation will train, checked and divided before anything is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from kmodels.checks import require
from kmodels.crossval.batches import count_samples
from kmodels.crossval.fold import Training
from kmodels.data.splits import split_indices
from kmodels.spec.experiment import Split

__all__ = ["Plan", "direction_of", "plan"]

_FORMAT = 1  # of the files; raised by hand whenever a change can move a score


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be trained, checked and divided before anything is.

    Attributes:
        training: how every fold is trained and scored.
        seeds: one training each a fold.
        parts: indices of the training and of the scored part, for each fold.
        digest: hash of samples, targets and division.
    """

    training: Training
    seeds: tuple[int, ...]
    parts: tuple[tuple[np.ndarray, np.ndarray], ...]
    digest: str

    def name(self, seed: int, fold: int, identity: str, *, epochs: int | None = None) -> str:
        """Returns the file name, without its ending, of one training: its hash covers all that can move the score."""
        how = dataclasses.asdict(dataclasses.replace(self.training, initial_epoch=0))
        how["epochs"] = epochs or self.training.epochs
        config = keras.config
        settings = [config.dtype_policy().name, config.floatx(), config.epsilon(), config.image_data_format()]
        key = [_FORMAT, self.digest, keras.backend.backend(), settings, how, seed, fold, identity]
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return f"seed{seed}_fold{fold}_{digest[:12]}"


def plan(
    x: Any,
    y: np.ndarray,
    *,
    folds: int,
    seeds: int | Sequence[int],
    epochs: int,
    batch_size: int,
    metric: str,
    direction: Literal["max", "min"] | None,
    validation_fraction: float,
    inner_fraction: float,
    stratify: bool,
    split_seed: int,
    initial_weights: Literal["seeded", "build"],
    initial_epoch: int = 0,
) -> Plan:
    """Checks the arguments of `cross_validate` and divides the samples.

    Raises:
        ValueError: an argument is outside its range; the message names it.
    """
    samples = count_samples(x, y)
    for name, value in (("folds", folds), ("epochs", epochs), ("batch_size", batch_size)):
        require(type(value) is int and value >= 1, name, "an integer, 1 or more", value)
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    one_each = len(chosen) == len(set(chosen)) > 0 and all(type(s) is int and 0 <= s < 2**63 for s in chosen)
    require(one_each, "seeds", "1 or more, or different integers of 0 or more", seeds)
    require(0 <= initial_epoch < epochs, "initial_epoch", f"0 or more, below epochs={epochs}", initial_epoch)
    require(0.0 <= inner_fraction < 1.0, "inner_fraction", "a number in [0, 1)", inner_fraction)
    require(initial_weights in ("seeded", "build"), "initial_weights", "'seeded' or 'build'", initial_weights)
    if stratify and (y.ndim != 1 or y.dtype.kind not in "iu"):
        expected = "integer labels of shape (samples,), or stratify=False"
        raise ValueError(f"y: expected {expected}. Received: dtype={y.dtype}, shape={y.shape}")
    prefix = "stratified_" if stratify else ""
    if folds == 1:
        fraction = validation_fraction
        split = Split(kind=f"{prefix}holdout", validation_fraction=fraction, random_state=split_seed)  # type: ignore[arg-type]
    else:
        split = Split(kind=f"{prefix}kfold", folds=folds, random_state=split_seed)  # type: ignore[arg-type]
    parts = split_indices(split, y if stratify else np.zeros(samples, np.int64))
    training = Training(
        epochs=epochs,
        initial_epoch=initial_epoch,
        batch_size=batch_size,
        metric=metric,
        direction=direction or direction_of(metric),
        inner_fraction=inner_fraction,
        stratify=stratify,
        initial_weights=initial_weights,
    )
    whole = tuple((train, held) for train, held in parts if held is not None)
    return Plan(training, chosen, whole, _digest(x, y, whole))


def direction_of(metric: str) -> Literal["max", "min"]:
    """Returns whether a larger or a smaller value of a metric is better, by its name.

    Raises:
        ValueError: the name does not tell.

    Example:
        >>> direction_of("accuracy"), direction_of("mean_squared_error")
        ('max', 'min')
    """
    if any(word in metric for word in ("loss", "error", "entropy")) or metric in ("mse", "mae", "mape", "msle"):
        return "min"
    if any(word in metric for word in ("acc", "auc", "precision", "recall", "score")):
        return "max"
    raise ValueError(f"direction: expected 'max' or 'min' for metric={metric!r}. Received: direction=None")


def _digest(x: Any, y: np.ndarray, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    digest = hashlib.sha256()
    for array in (*keras.tree.flatten(x), y, *(part for pair in parts for part in pair)):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
