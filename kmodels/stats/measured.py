"""One number of one run: the scores it holds, and what follows from its scores and curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kmodels.results.runs import Run
from kmodels.spec.claims import MEASURES
from kmodels.spec.observations import gradient_ratio

__all__ = ["measured", "of_one_run"]


def of_one_run(measure: str) -> str:
    """Returns what is measured of a single run for a measure that is of the folds of a seed together; else the same.

    Example:
        >>> of_one_run("validation_accuracy_spread"), of_one_run("last_fold_test_accuracy"), of_one_run("seconds")
        ('validation_accuracy', 'test_accuracy', 'seconds')
    """
    return measure.removesuffix("_spread").removeprefix("last_fold_")


def measured(run: Run, measure: str) -> float:
    """Returns a run's value of a measure; NaN where the run diverged or the number is not finite.

    `seconds` is the time of `fit`. `accuracy_gap` and `loss_gap` are how far the last epoch's training and validation
    values lie apart, without sign: with dropout or augmentation the training value is often the worse one.
    `mean_train_loss` is the mean of the training curve, smaller for a loss that falls faster. `late_train_loss_fall` is
    how much of the fall of that curve, from the first epoch to the last, comes after half of the epochs, rounded down;
    NaN where the loss does not fall; `late_accuracy_gain` is how much higher the validation accuracy is in the end than
    after that half. `validation_loss_rise` is how far the last epoch's validation loss lies above the lowest, 0 or
    more. `train_loss_sum` is the sum of the mean losses of the last epoch's batches. `epochs_to_90` and
    its like are the first epoch, counted from 1, whose validation accuracy reaches so many percent; one more than were
    trained where none does, which flatters a run that never gets there. A swing is the mean distance between the
    validation values of an epoch and the next. `maximum_test_accuracy` is the largest of a run that looked at the test
    images after every epoch, and `test_accuracy_lost` what report C's way of testing costs. `peak_memory` is in GiB, of
    the process on a CPU and of PyTorch's allocations on a GPU: like `seconds` and `images_per_second` it compares runs
    of one machine alone.
    `gradient_ratio` is `kmodels.spec.observations.gradient_ratio`, `initial_gradient_ratio` that of the untrained
    network; `parameters` are in thousands, `macs` in millions.

    Args:
        run: the run.
        measure: a key of `kmodels.spec.claims.MEASURES` that is not a spread, or of `run.scores`.

    Raises:
        ValueError: the run does not hold what the measure needs.
    """
    if run.diverged:
        return math.nan
    if measure == "seconds" and "fit" in run.seconds:
        value = run.seconds["fit"]
    elif measure in ("accuracy_gap", "loss_gap"):
        kind = measure.removesuffix("_gap")
        value = abs(_score(run, f"train_{kind}", measure) - _score(run, f"validation_{kind}", measure))
    elif measure == "mean_train_loss":
        value = _mean_of_curve(run, "loss", measure)
    elif measure == "late_train_loss_fall":
        value = _late_fall(_curve(run, "loss", measure))
    elif measure == "late_accuracy_gain":
        curve = _curve(run, "val_accuracy", measure)
        value = curve[-1] - curve[len(curve) // 2 - 1]
    elif measure == "validation_loss_rise":
        curve = _curve(run, "val_loss", measure)
        value = curve[-1] - min(curve)
    elif measure == "train_loss_sum":
        found = _observed(run, "loss_sum", measure)["loss_sum"]["epochs"][-1]
        value = math.nan if found is None else found  # too large to be stored
    elif measure in MEASURES and MEASURES[measure].threshold:
        curve = _curve(run, "val_accuracy", measure)
        value = next((e for e, v in enumerate(curve, 1) if v >= MEASURES[measure].threshold), len(curve) + 1)
    elif measure.endswith("_swing"):
        value = _swing(_curve(run, measure.removesuffix("_swing").replace("validation", "val"), measure))
    elif measure == "maximum_test_accuracy":
        on_test = run.recipe["split"]["kind"] == "test"
        value = max(_curve(run, "val_accuracy" if on_test else "test_accuracy", measure))
    elif measure == "test_accuracy_lost":
        value = _score(run, "test_accuracy", measure) - _score(run, "test_accuracy_training_mode_sampled", measure)
    elif measure == "best_validation_accuracy":
        value = max(_curve(run, "val_accuracy", measure))
    elif measure == "images_per_second":
        value = run.images_per_second
    elif measure == "peak_memory":
        value = run.peak_memory_bytes / 2**30
    elif measure == "gradient_ratio":
        value = gradient_ratio(_observed(run, "gradient_norms", measure))
    elif measure == "initial_gradient_ratio":
        value = gradient_ratio(_observed(run, "gradient_norms", measure), untrained=True)
    elif measure in ("parameters", "macs"):
        value = _observed(run, "size", measure)["size"][measure] / (1e3 if measure == "parameters" else 1e6)
    else:
        value = _score(run, measure, measure)
    return float(value) if math.isfinite(value) else math.nan


def _score(run: Run, name: str, measure: str) -> float:
    if name not in run.scores:
        raise ValueError(f"measure: expected one of {', '.join(run.scores)} of run {run.key}. Received: {measure=}")
    return run.scores[name]


def _mean_of_curve(run: Run, name: str, measure: str) -> float:
    curve = _curve(run, name, measure)
    return math.fsum(curve) / len(curve)


def _curve(run: Run, name: str, measure: str) -> Sequence[float]:
    curve = run.curves.get(name)
    if not curve:
        raise ValueError(
            f"measure: expected a run with a curve of {name}, which {run.key} is not. Received: {measure=}"
        )
    return curve


def _observed(run: Run, name: str, measure: str) -> Mapping[str, Any]:
    if name not in run.observations:
        raise ValueError(f"measure: expected a run that observed {name}, which {run.key} did not. Received: {measure=}")
    return run.observations


def _late_fall(curve: Sequence[float]) -> float:
    """NaN for a curve that does not fall, which a single epoch's does not."""
    whole = curve[0] - curve[-1]
    return (curve[len(curve) // 2 - 1] - curve[-1]) / whole if whole > 0 else math.nan


def _swing(curve: Sequence[float]) -> float:
    """NaN for a single epoch."""
    changes = [abs(after - before) for before, after in itertools.pairwise(curve)]
    return math.fsum(changes) / len(changes) if changes else math.nan
