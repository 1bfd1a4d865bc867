"""Which epoch's weights a training comes to, and when it ends because none gets better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from kmodels.training.state import capture, restore

__all__ = ["ChosenEpoch"]

_MEASURES = {
    "best_accuracy": ("val_accuracy", 1.0),
    "best_loss": ("val_loss", -1.0),
    "best_test_accuracy": ("test_accuracy", 1.0),
}


class ChosenEpoch(keras.callbacks.Callback):
    """Holds the weights of the epoch that `Recipe.keep` chooses, and ends a training by `Recipe.patience`.

    Of equally good epochs the first is chosen. What is held are weights and running statistics; the states of dropout
    go on.

    Attributes:
        epoch: the chosen one, counted from 1; None for the last, which is not held.
        weights: its values of `model.weights`; empty where none is held.

    Args:
        keep: see `Recipe`.
        patience: see `Recipe`.
        test_accuracy: measures a model on the test images, for `keep="best_test_accuracy"`; the value joins the
            epoch's logs.

    Reference:
        Report C, whose listing keeps the weights with `valid_acc > best_acc` and ends with `stale > patience`.
    """

    def __init__(
        self, keep: str, patience: int | None, test_accuracy: Callable[[keras.Model], float] | None = None
    ) -> None:
        super().__init__()
        self._measure, self._sign = _MEASURES.get(keep, ("", 1.0))
        self._patience, self._test_accuracy = patience, test_accuracy
        self._value, self._stale = 0.0, 0
        self.epoch: int | None = None
        self.weights: tuple[np.ndarray, ...] = ()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called by Keras."""
        if not self._measure:
            return
        values = {} if logs is None else logs  # of the callbacks that follow too
        if self._test_accuracy is not None:
            values["test_accuracy"] = self._test_accuracy(self.model)
        value = self._sign * float(values[self._measure])
        if self.epoch is None or value > self._value:
            self.epoch, self._value, self._stale = epoch + 1, value, 0
            self.weights = capture(self.model.weights)
            return
        self._stale += 1
        if self._patience is not None and self._stale > self._patience:
            self.model.stop_training = True

    def restore(self, model: Any) -> None:
        """Sets the weights of a model to those that are held; where none are does nothing."""
        if self.weights:
            restore(model.weights, self.weights, "weights")

    def facts(self) -> dict[str, Any]:
        """Returns what has to be remembered beside the weights, JSON-ready."""
        return {"epoch": self.epoch, "value": self._value, "stale": self._stale}

    def resume(self, facts: Mapping[str, Any], weights: tuple[np.ndarray, ...]) -> None:
        """Goes on from what `facts` and `weights` were."""
        self.epoch, self._value, self._stale = facts["epoch"], facts["value"], facts["stale"]
        self.weights = weights
