"""The state of a long training on disk after each epoch, from which a killed one goes on to the very same result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras

from kmodels.acceleration import Mode, execution
from kmodels.torch_step.device import threads
from kmodels.training.chosen_epoch import ChosenEpoch
from kmodels.training.state import NO_STATE, TrainingState, capture, read_state, restore, write_state

__all__ = ["Checkpointing"]

_SECONDS = 60.0  # a training shorter than this is sooner repeated than written
_SHARE = 0.02  # of the time that writing may take, where epochs are short and the network is large


class Checkpointing(keras.callbacks.Callback):
    """Collects a training's curves, and writes its state to a file after every epoch, once it has taken a minute.

    Epochs are left out only where writing them all would take more than a 50th of the time, and for a minute at most.

    How a run is computed must not depend on whether it was interrupted: a training that goes on takes its steps as it
    took them before, recorded or compiled, with as many threads; whoever trains it holds these until the run is written
    down.

    Attributes:
        epochs: epochs done before this process took over; 0 at the beginning.
        mode: how the steps were taken before; None at the beginning.
        threads: of the CPU that they were taken with; 0 at the beginning, or where the backend does not say.
        seconds: spent on `fit` before.
        curves: per-epoch values by name, of the whole training.
        observations: what callbacks that come before this one keep of the training, JSON-ready.

    Args:
        path: the file; None to write none.
        key: of the run, which a file must name.
        last: number of epochs after which nothing is written: what follows is sooner done again than a state is read.
        leave: write the state after the last epoch all the same, for a training that goes on later.
        chosen: the epoch whose weights count, which is part of the state.

    Raises:
        ValueError: the file is of another run or is damaged.
    """

    def __init__(self, path: Path | None, key: str, *, last: int, leave: bool = False, chosen: ChosenEpoch) -> None:
        super().__init__()
        self._path, self._key, self._final, self._leave, self._chosen = path, key, last, leave, chosen
        self._state = read_state(path) if path is not None and path.exists() else None
        facts: dict[str, Any] = {} if self._state is None else self._state.facts
        if self._state is not None and facts.get("key") != key:
            raise ValueError(f"checkpoint: expected the state of run {key}. Received: {facts.get('key')!r} in {path}")
        self.epochs: int = 0 if self._state is None else self._state.epochs
        self.mode: Mode | None = facts.get("mode")
        self.seconds: float = facts.get("seconds", 0.0)
        self.curves: dict[str, list[float]] = facts.get("curves", {})
        self.observations: dict[str, Any] = facts.get("observations", {})
        if self._state is not None and "chosen" in facts:  # files of before had the last epoch alone
            chosen.resume(facts["chosen"], self._state.best)
        self.threads: int = facts.get("threads", 0)
        self._began: float | None = None
        self._written = time.monotonic()
        self._wait = _SECONDS if self._state is None else 0.0
        self._last = self.epochs

    def restore(self, model: Any, *, optimizer: bool = True) -> None:
        """Sets the variables of a model to what the file holds, once; without a file does nothing.

        Args:
            model: the network, compiled.
            optimizer: set those of its optimizer too, which is not a fresh one's.

        Raises:
            ValueError: they are those of another network or optimizer.
        """
        state, self._state = self._state, None
        if state is None:
            return
        restore(model.variables, state.model, "checkpoint")
        if optimizer:
            model.optimizer.build(model.trainable_variables)
            restore(model.optimizer.variables, state.optimizer, "checkpoint")

    def on_train_begin(self, logs: Any = None) -> None:
        """Called by Keras, once more at each restart."""
        if self._began is None:
            self._written = self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called by Keras."""
        for name, value in (logs or {}).items():
            self.curves.setdefault(name, []).append(round(float(value), 6))
        now = time.monotonic()
        ends = epoch + 1 == self._final or self.model.stop_training
        wanted = self._leave if ends else now - self._written >= self._wait
        if self._path is None or not wanted:
            return
        # the rule of the beginning chooses again; but a machine that could not compile must not begin to
        mode = "record" if execution(self.model) == "recorded" else "auto"
        facts = {
            "key": self._key,
            "mode": mode,
            "threads": threads(keras.backend.backend()),
            "seconds": self.seconds + now - (self._began or now),
            "curves": self.curves,
            "observations": self.observations,
            "chosen": self._chosen.facts(),
        }
        model, optimizer = capture(self.model.variables), capture(self.model.optimizer.variables)
        best = self._chosen.weights
        write_state(
            self._path, TrainingState(epochs=epoch + 1, model=model, optimizer=optimizer, best=best, facts=facts)
        )
        self._written, self._last = time.monotonic(), epoch + 1
        self._wait = min(_SECONDS, (self._written - now) / _SHARE)

    def described(self) -> str:
        """Returns, for a training that diverged, which state is still good.

        Not where it lies: the words are stored with the run, and say the same wherever it ran.
        """
        return f"; the state after epoch {self._last} is kept" if self._last else NO_STATE

    def delete(self) -> None:
        """Deletes the file of a training that has ended."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
