"""What a cross-validation came to: every fold's value, and what may be said of them together."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CrossValidation", "FoldFailed", "FoldScore"]


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """The outcome of one training.

    Attributes:
        seed: seed of initial weights, data order and dropout.
        fold: index of the part that was scored, from 0.
        value: the metric on that part, with the weights of epoch `epoch`.
        epoch: epochs trained when those weights were reached, 1 or more: the last one, or the one that the inner split
            chose.
        epochs: epochs trained in all.
        train_loss: mean training loss of every epoch trained in this call or the one it goes on from.
        inner: the metric on the inner split after every epoch; empty without one.
        train_samples: samples trained on.
        held_samples: samples scored.
        seconds: time of building, training and scoring.
        made_with: hardware, versions and commit, in a line; empty where nobody noted them.
    """

    seed: int
    fold: int
    value: float
    epoch: int
    epochs: int
    train_loss: tuple[float, ...]
    inner: tuple[float, ...] = ()
    train_samples: int
    held_samples: int
    seconds: float
    made_with: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FoldScore:
        """Returns the score that `as_dict` wrote.

        Raises:
            ValueError: a field is missing or unknown.
        """
        try:
            return cls(**{**values, "train_loss": tuple(values["train_loss"]), "inner": tuple(values["inner"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"score: expected the fields of FoldScore. Received: {dict(values)!r}") from error


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """The scores of every seed and fold.

    The folds of one seed share most of their training samples, so they are no independent repetitions: the standard
    deviation is taken over seeds, between the means of their folds, and its n is the number of seeds.

    Attributes:
        metric: what the values are: the name of a metric that the model was compiled with, or `loss`.
        scores: one a training, by seed and then by fold.
        reused: how many of them were read from the folder instead of trained.

    Raises:
        ValueError: a seed lacks a fold that another one has, or there are no scores.

    Example:
        >>> def score(seed, fold, value):
        ...     return FoldScore(seed=seed, fold=fold, value=value, epoch=1, epochs=1, train_loss=(0.5,),
        ...                      train_samples=80, held_samples=20, seconds=0.1)
        >>> found = CrossValidation(metric="accuracy", scores=(score(0, 0, 0.8), score(0, 1, 0.9), score(1, 0, 0.9),
        ...                                                    score(1, 1, 1.0)))
        >>> round(found.mean, 3), round(found.sd, 3), round(found.fold_sd, 3)
        (0.9, 0.071, 0.071)
    """

    metric: str
    scores: tuple[FoldScore, ...]
    reused: int = 0

    def __post_init__(self) -> None:
        pairs = {(score.seed, score.fold) for score in self.scores}
        whole = {(seed, fold) for seed in self.seeds for fold in range(self.folds)}
        if not pairs or pairs != whole or len(pairs) != len(self.scores):
            raise ValueError(f"scores: expected every fold of every seed, once. Received: {sorted(pairs)}")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of their scores."""
        return tuple(dict.fromkeys(score.seed for score in self.scores))

    @property
    def folds(self) -> int:
        """Number of folds; 1 for a hold-out."""
        return len({score.fold for score in self.scores})

    @property
    def values(self) -> dict[tuple[int, int], float]:
        """The value of every (seed, fold)."""
        return {(score.seed, score.fold): score.value for score in self.scores}

    @property
    def seed_means(self) -> tuple[float, ...]:
        """The mean over folds, for each seed."""
        return tuple(statistics.fmean(self._of(seed)) for seed in self.seeds)

    @property
    def mean(self) -> float:
        """The mean of all values."""
        return statistics.fmean(self.seed_means)

    @property
    def sd(self) -> float:
        """Standard deviation of the seeds' means, n - 1 in its denominator; NaN with one seed."""
        return statistics.stdev(self.seed_means) if len(self.seeds) > 1 else math.nan

    @property
    def fold_sd(self) -> float:
        """Standard deviation between the folds of a seed (root mean square over seeds); NaN for a hold-out.

        It says how much the parts differ, and is no error of the mean.
        """
        if self.folds == 1:
            return math.nan
        return math.sqrt(statistics.fmean(statistics.variance(self._of(seed)) for seed in self.seeds))

    @property
    def seconds(self) -> float:
        """Time of all trainings, those of an earlier call included."""
        return math.fsum(score.seconds for score in self.scores)

    def _of(self, seed: int) -> list[float]:
        return [score.value for score in self.scores if score.seed == seed]


class FoldFailed(RuntimeError):
    """One training of a cross-validation failed; `__cause__` is why.

    Attributes:
        seed: its seed.
        fold: its fold.
        kind: `not finite`, `out of memory` or `exception`.
    """

    def __init__(self, seed: int, fold: int, cause: BaseException) -> None:
        self.seed, self.fold, self.kind = seed, fold, _kind(cause)
        said = " ".join(str(cause).split())[:500]
        super().__init__(f"seed {seed}, fold {fold} failed: {self.kind}: {type(cause).__name__}: {said}")


def _kind(cause: BaseException) -> str:
    if isinstance(cause, FloatingPointError):
        return "not finite"
    # every backend has an exception of its own for this, and only their words are alike
    if isinstance(cause, MemoryError) or any(
        words in f"{type(cause).__name__} {cause}".lower()
        for words in (
            "out of memory",
            "outofmemory",
            "resource_exhausted",
            "resourceexhausted",
            "can't allocate memory",
        )
    ):
        return "out of memory"
    return "exception"
