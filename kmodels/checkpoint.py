"""The state of a long training on disk after each epoch, from which a killed one goes on to the very same result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras

from kmodels.acceleration import Mode, execution
from kmodels.torch_step.device import threads, use_threads
from kmodels.training_state import TrainingState, capture, read_state, restore, write_state

__all__ = ["Checkpointing"]

_SECONDS = 60.0  # a training shorter than this is sooner repeated than written


class Checkpointing(keras.callbacks.Callback):
    """Collects a training's curves, and writes its state to a file after epochs that took long.

    How a run is computed must not depend on whether it was interrupted: a training that goes on takes its steps as it
    took them before, recorded or compiled, with as many threads.

    Attributes:
        epochs: epochs done before this process took over; 0 at the beginning.
        mode: how the steps were taken before; None at the beginning.
        seconds: spent on `fit` before.
        curves: per-epoch values by name, of the whole training.

    Args:
        path: the file; None to write none.
        key: of the run, which a file must name.

    Raises:
        ValueError: the file is of another run or is damaged.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        super().__init__()
        self._path, self._key = path, key
        self._state = read_state(path) if path is not None and path.exists() else None
        facts: dict[str, Any] = {} if self._state is None else self._state.facts
        if self._state is not None and facts.get("key") != key:
            raise ValueError(f"checkpoint: expected the state of run {key}. Received: {facts.get('key')!r} in {path}")
        self.epochs: int = 0 if self._state is None else self._state.epochs
        self.mode: Mode | None = facts.get("mode")
        self.seconds: float = facts.get("seconds", 0.0)
        self.curves: dict[str, list[float]] = facts.get("curves", {})
        self._threads: int = facts.get("threads", 0)
        self._before = 0
        self._written = self._began = time.monotonic()
        self._last = self.epochs

    def restore(self, model: Any) -> None:
        """Sets the variables of a model and its optimizer to what the file holds; without a file does nothing.

        Raises:
            ValueError: they are those of another network or optimizer.
        """
        if self._state is not None:
            model.optimizer.build(model.trainable_variables)
            restore(model.variables, self._state.model, "checkpoint")
            restore(model.optimizer.variables, self._state.optimizer, "checkpoint")

    def on_train_begin(self, logs: Any = None) -> None:
        """Called by Keras."""
        self._written = self._began = time.monotonic()
        if self._threads:
            self._before = threads(keras.backend.backend())
            use_threads(keras.backend.backend(), self._threads)

    def end(self) -> None:
        """Gives the next training of this process the threads that this one found."""
        use_threads(keras.backend.backend(), self._before)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called by Keras."""
        for name, value in (logs or {}).items():
            self.curves.setdefault(name, []).append(round(float(value), 6))
        now = time.monotonic()
        last = epoch + 1 == self.params["epochs"]  # what follows is sooner done again than a state is read
        if self._path is None or last or now - self._written < _SECONDS:
            return
        # the rule of the beginning chooses again; but a machine that could not compile must not begin to
        mode = "record" if execution(self.model) == "recorded" else "auto"
        facts = {
            "key": self._key,
            "mode": mode,
            "threads": threads(keras.backend.backend()),
            "seconds": self.seconds + now - self._began,
            "curves": self.curves,
        }
        model, optimizer = capture(self.model.variables), capture(self.model.optimizer.variables)
        write_state(self._path, TrainingState(epochs=epoch + 1, model=model, optimizer=optimizer, facts=facts))
        self._written, self._last = now, epoch + 1

    def described(self) -> str:
        """Returns, for a training that diverged, which state is still good; empty where there is none.

        Not where it lies: the words are stored with the run, and say the same wherever it ran.
        """
        return f"; the state after epoch {self._last} is kept" if self._last else ""

    def delete(self) -> None:
        """Deletes the file of a training that has ended."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
