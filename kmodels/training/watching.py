"""What a training is watched for while Keras runs it: a loss that is no number, and the seconds of its batches."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import keras

from kmodels.acceleration import execution, first_non_finite_step
from kmodels.models.initial_weights import seed_masks

__all__ = ["Diverged", "SeedMasks", "Timing", "not_finite", "stop_when_not_finite"]

_SECONDS = 60.0


class Diverged(RuntimeError):
    """The loss became infinite or not a number; the message names the epoch, and the step where it was in one."""


def stop_when_not_finite(steps_per_epoch: int) -> keras.callbacks.Callback:
    """Returns a callback that ends a training with `Diverged` when its loss is not finite.

    Steps that Keras takes itself end there, on JAX and TensorFlow after one more. Recorded ones end with the epoch, as
    nothing waits for them; they note on the device which was the first.

    Args:
        steps_per_epoch: batches an epoch.
    """
    return _BeforeTheNext(steps_per_epoch) if keras.backend.backend() == "torch" else _OneStepLater(steps_per_epoch)


class _StopWhenNotFinite(keras.callbacks.Callback):
    def __init__(self, steps_per_epoch: int) -> None:
        super().__init__()
        self._steps_per_epoch, self._epoch = steps_per_epoch, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._look(logs or {}, self._steps_per_epoch - 1)

    def _look(self, values: Mapping[str, float], last: int) -> None:
        """Raises where one is not finite, after a step of the epoch that is the first bad one if Keras took it."""
        if all(map(math.isfinite, values.values())):
            return
        step = first_non_finite_step(self.model)
        if step is None and execution(self.model) == "keras" and not math.isfinite(values.get("loss", 0.0)):
            step = last
        raise Diverged(not_finite(values, self._epoch, step, self._steps_per_epoch))


class _OneStepLater(_StopWhenNotFinite):
    """For JAX and TensorFlow, which prepare a batch while the step before it is computed.

    The loss of a step is received by a thread of Keras' own and waited for when the next step but one begins.
    """

    async_safe = True  # Keras' word: it need not wait for a step to tell of it

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._losses: dict[int, Future[float]] = {}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch >= 2:
            with suppress(TimeoutError):  # then the step failed, which Keras will raise
                self._look({"loss": self._loss_of(batch - 2).result(_SECONDS)}, batch - 2)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._loss_of(batch).set_result((logs or {}).get("loss", 0.0))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        bad = [step for step, loss in self._losses.items() if not math.isfinite(loss.result())]
        self._look(logs or {}, min(bad, default=self._steps_per_epoch - 1))

    def _loss_of(self, step: int) -> Future[float]:
        return self._losses.setdefault(step, Future())


class _BeforeTheNext(_StopWhenNotFinite):
    """For PyTorch, where Keras waits for every step, recorded ones too, if a callback has `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch and execution(self.model) == "keras":
            self._look({m.name: float(m.result()) for m in self.model.metrics if m.name == "loss"}, batch - 1)


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
