"""What a training is watched for while Keras runs it: a loss that is no number, and the seconds of its batches."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import keras

from kmodels.acceleration import first_non_finite_step
from kmodels.models.initial_weights import seed_masks

__all__ = ["Diverged", "SeedMasks", "StopWhenNotFinite", "Timing", "not_finite"]


class Diverged(RuntimeError):
    """The loss became infinite or not a number; the message names the epoch, and the step where it is known."""


class StopWhenNotFinite(keras.callbacks.Callback):
    """Ends training with `Diverged` after an epoch whose loss is not finite.

    Args:
        steps_per_epoch: batches an epoch.
    """

    def __init__(self, steps_per_epoch: int) -> None:
        super().__init__()
        self._steps_per_epoch = steps_per_epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called by Keras."""
        if not all(map(math.isfinite, (logs or {}).values())):
            raise Diverged(not_finite(logs or {}, epoch, first_non_finite_step(self.model), self._steps_per_epoch))


def not_finite(logs: Mapping[str, float], epoch: int, step: int | None, steps_per_epoch: int) -> str:
    """Returns in words when a training diverged; empty where all values of an epoch are finite.

    Args:
        logs: values of the epoch by name.
        epoch: counted from 0.
        step: first step of the training, counted from 0, whose loss was not finite; None where none is known of.
        steps_per_epoch: batches an epoch.

    Example:
        >>> not_finite({"loss": math.inf}, epoch=1, step=12, steps_per_epoch=10)
        'loss is inf in epoch 2, from step 3 of the epoch on'
    """
    for name, value in logs.items():
        if not math.isfinite(value):
            within = "" if step is None else f", from step {step % steps_per_epoch + 1} of the epoch on"
            return f"{name} is {value} in epoch {epoch + 1}{within}"
    return ""


class SeedMasks(keras.callbacks.Callback):
    """Starts each epoch's dropout from a seed of its own, so that a training that goes on draws what it would have.

    Args:
        seed: of the run.
        fold: index of the validation part.
    """

    def __init__(self, seed: int, fold: int) -> None:
        super().__init__()
        self._seed, self._fold = seed, fold

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        seed_masks(self._seed, self._fold, epoch)


class Timing(keras.callbacks.Callback):
    """Seconds spent on training batches, without validation, and the epochs they were."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.epochs = 0
        self._since: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self._since = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        """Called by Keras."""
        self._stop()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self._stop()
        self.epochs += 1

    def _stop(self) -> None:
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None
