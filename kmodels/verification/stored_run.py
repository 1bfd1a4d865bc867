"""One stored run checked: its scores computed again from the predictions and curves in the file, and the labels."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass

import numpy as np

from kmodels.data.labels import Labels
from kmodels.data.splits import split_indices
from kmodels.results.predictions import Predictions, check_classes
from kmodels.results.runs import Run
from kmodels.spec.experiment import Split
from kmodels.stats.scoring import accuracy, further_validation_scores, scores_on_test

__all__ = ["CheckedRun", "CheckedScore", "check_run"]

_FROM_CURVES = {"train_loss": "loss", "train_accuracy": "accuracy", "validation_loss": "val_loss"}
_FROM_PREDICTIONS = ("validation_accuracy", "test_accuracy", "test_nll", "test_ece")
_LOGARITHM = 1e-12  # relative: C libraries differ in the last bit of a logarithm, and NumPy in the order of its sums


@dataclass(frozen=True)
class CheckedScore:
    """One number of a run, twice.

    Attributes:
        name: as it stands in `Run.scores`.
        stored: what the file says; None where it does not have the score.
        recomputed: what follows from the rest of the file; None where nothing is kept to compute it from.
        same: whether both are the same number.
    """

    name: str
    stored: float | None
    recomputed: float | None
    same: bool


@dataclass(frozen=True)
class CheckedRun:
    """A stored run with what was found of it.

    Attributes:
        run: the run.
        scores: its scores, those that can be computed again.
        unchecked: names of the scores that only training again could tell.
        problems: what else is wrong with the file, in words.
    """

    run: Run
    scores: tuple[CheckedScore, ...]
    unchecked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether everything that can be checked is as the file says."""
        return not self.problems and all(score.same for score in self.scores)

    @property
    def recomputed(self) -> Run:
        """The run with the recomputed scores in place of the stored ones."""
        found = {score.name: score.recomputed for score in self.scores if score.recomputed is not None}
        return dataclasses.replace(self.run, scores={**self.run.scores, **found})

    def differences(self) -> list[str]:
        """Returns one line for each thing that is not as the file says."""
        lines = list(self.problems)
        for score in self.scores:
            if score.same:
                continue
            if score.recomputed is None:
                lines.append(f"{score.name}: stored {score.stored!r}, but nothing is kept to compute it from")
            elif score.stored is None:
                lines.append(f"{score.name}: not stored, although it can be computed: {score.recomputed!r}")
            else:
                lines.append(f"{score.name}: stored {score.stored!r}, recomputed {score.recomputed!r}")
        return lines


def check_run(run: Run, labels: Labels) -> CheckedRun:
    """Computes a run's scores again and compares.

    Accuracies and the calibration error are quotients of whole numbers, so they must be equal to the last bit; the
    negative log-likelihood within 1e-12 of itself, as logarithms differ between C libraries in their last bit. Losses
    must be those of the run's own curves. Whether the key is that of the recipe is checked where a file is read
    (`kmodels.results.runs.read_run`).

    Args:
        run: as it was read.
        labels: of the data set that the run names.
    """
    # an ensemble of members that were trained apart has no curves of its own
    apart = run.recipe.get("train_members") == "apart"
    by_curve = {name: curve for name, curve in _FROM_CURVES.items() if name in run.scores and not apart}
    scores = [_from_curve(run, name, curve) for name, curve in by_curve.items()]
    problems, found = _recomputed(run, labels)
    if found is not None:
        names = [name for name in (*_FROM_PREDICTIONS, *found) if name in run.scores or name in found]
        scores += [_compared(name, run.scores.get(name), found.get(name)) for name in dict.fromkeys(names)]
    checked = {score.name for score in scores}
    unchecked = tuple(name for name in run.scores if name not in checked)
    return CheckedRun(run, tuple(scores), unchecked, tuple(problems))


def _recomputed(run: Run, labels: Labels) -> tuple[list[str], dict[str, float] | None]:
    """What is wrong with the predictions, and the scores that follow from them; None where they cannot be scored."""
    digest = str(run.data["digest"])
    if digest != labels.digest:
        expected = f"the content of {labels.name}, sha256 {labels.digest[:12]}…"
        return [f"data: expected {expected}. Received: sha256 {digest[:12]}…"], None
    try:
        found = _validation(run, labels)
        if run.predictions is None:
            return [], found
        check_classes(run.predictions.classes, len(labels.test), labels.num_classes, "predictions")
        for name, classes in run.predictions.further.items():
            check_classes(classes, None, labels.num_classes, name)
        return _two_probabilities(run.predictions, labels), found | scores_on_test(run.predictions, labels.test)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        return [f"predictions: expected those of the recipe's images. {type(error).__name__}: {error}"], None


def _two_probabilities(said: Predictions, labels: Labels) -> list[str]:
    """Where the prediction is right, the predicted class and the right one are one class, of one probability."""
    if said.true_class_probability is None or said.confidence is None:
        return []
    right = said.classes == labels.test
    unequal = int(np.count_nonzero(said.true_class_probability[right] != said.confidence[right]))
    expected = "the right class's probability wherever that is the prediction"
    return [f"confidence: expected {expected}. Received: another one for {unequal} images"] if unequal else []


def _validation(run: Run, labels: Labels) -> dict[str, float]:
    """Accuracies on the validation images, from their own classes or, where they are the test images, from those."""
    held, size = _parts(Split(**run.recipe["split"]), labels)[run.fold], int(run.recipe["batch_size"])
    if held is None:
        said, right = None if run.predictions is None else run.predictions.classes, labels.test
    else:
        said, right = run.validation_classes, labels.train[held]
    if run.recipe.get("validation_drop_last"):
        right = right[: len(right) // size * size]
        said = said[: len(right)] if held is None and said is not None else said
    found = {} if said is None else {"validation_accuracy": accuracy(said, right)}
    if run.predictions is None:
        return found
    return found | further_validation_scores(run.predictions, right, on_test=held is None)


@functools.lru_cache(maxsize=8)
def _parts(split: Split, labels: Labels) -> list[np.ndarray | None]:
    return [held for _, held in split_indices(split, labels.train)]


def _from_curve(run: Run, name: str, curve: str) -> CheckedScore:
    """A score that is one of a curve's values: of the epoch that was kept, or of the last."""
    values, stored = run.curves.get(curve, ()), run.scores[name]
    epoch = int(run.scores.get("kept_epoch", len(values)))
    value = float(values[epoch - 1]) if 1 <= epoch <= len(values) else None
    return CheckedScore(name, stored, value, stored == value)


def _compared(name: str, stored: float | None, found: float | None) -> CheckedScore:
    if stored is None or found is None:
        return CheckedScore(name, stored, found, False)
    same = math.isclose(stored, found, rel_tol=_LOGARITHM, abs_tol=0.0) if name == "test_nll" else stored == found
    return CheckedScore(name, stored, found, same)
