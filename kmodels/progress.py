"""What is being trained right now: bars in a terminal, plain lines elsewhere, always on standard error."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from kmodels.durations import spoken
from kmodels.spec.tasks import Task

__all__ = ["Display", "display"]

_QUIET_SECONDS = 20.0  # without a terminal, at most one line an epoch and none sooner than this after the last


class Display:
    """Follows a queue of tasks; `callback(task)` gives the Keras callback that reports one training to it.

    Args:
        queue: the tasks.
        console: receives the lines.
        bars: a terminal's bar; None elsewhere.
        seconds: about how long each task takes; None where all take as long.

    Attributes:
        status: what is being trained, for a terminal.
    """

    def __init__(
        self, queue: Sequence[Task], console: Console, bars: Progress | None, seconds: Sequence[float] | None = None
    ) -> None:
        self._queue = queue
        self._weights = {id(task): weight for task, weight in zip(queue, seconds or [1.0] * len(queue), strict=True)}
        self._all = math.fsum(self._weights.values())
        self._console = console
        self._bars = bars
        self._bar = None if bars is None else bars.add_task("", total=self._all)
        self.status = Text()
        self._done = 0.0
        self._ended = 0
        self._began = self._said = time.monotonic()

    def callback(self, task: Task, together: int = 1) -> keras.callbacks.Callback:
        """Returns a callback that shows the epochs of one task, or of several that are trained at once.

        Args:
            task: the task, or the first of several.
            together: how many tasks are trained at once.
        """
        return _Follow(task, self, together)

    def show(self, task: Task, epoch: int, within: float, text: str, together: int = 1) -> None:
        """Shows how far one task is.

        Args:
            task: the task in training.
            epoch: epochs finished.
            within: share of the running epoch that is done, in [0, 1].
            text: loss and accuracy in words.
            together: tasks that are as far as this one, as they are trained at once.
        """
        share = together * self._weights[id(task)] * (epoch + within) / task.recipe.total_epochs
        at = epoch + (1 if within else 0)  # the epoch that is running, or the one that has just ended
        more = f" and {together - 1} more" if together > 1 else ""
        line = f"{describe(task)}{more} · epoch {at}/{task.recipe.total_epochs}{text}"
        if self._bars is not None and self._bar is not None:
            self.status.plain = line
            self._bars.update(self._bar, completed=self._done + share)
        elif within == 0.0 and time.monotonic() - self._said > _QUIET_SECONDS:
            self._say(f"{line}{self._left(self._done + share)}")

    def finished(self, task: Task, text: str) -> None:
        """Counts a task as done and says how it ended."""
        self._done += self._weights[id(task)]
        self._ended += 1
        if self._bars is not None and self._bar is not None:
            self._bars.update(self._bar, completed=self._done)
        self._say(f"[{self._ended}/{len(self._queue)}] {describe(task)}: {text}{self._left(self._done)}")

    def _left(self, done: float) -> str:
        if not 0 < done < self._all - 1e-6 or self._ended == len(self._queue):
            return ""
        seconds = (time.monotonic() - self._began) * (self._all - done) / done
        return f" · about {spoken(seconds)} left"

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def display(queue: Sequence[Task], console: Console, seconds: Sequence[float] | None = None) -> Iterator[Display]:
    """Gives a display for the time that a queue of tasks is worked on; arguments as those of `Display`."""
    if not console.is_terminal:
        yield Display(queue, console, None, seconds)
        return
    bars = Progress(BarColumn(40), TaskProgressColumn(), TimeRemainingColumn(compact=True), TextColumn("left"))
    shown = Display(queue, console, bars, seconds)
    # what is trained stands on a line of its own: beside the bar it would not fit into 80 columns
    with Live(Group(shown.status, bars), console=console, transient=True, refresh_per_second=4):
        yield shown


def describe(task: Task) -> str:
    """Returns experiment, cell, seed and fold in words.

    A split with one validation part has no fold to name.
    """
    folds = task.recipe.split.folds
    fold = f" · fold {task.fold + 1} of {folds}" if folds > 1 else ""
    return f"{task.experiment} · {task.cell} · seed {task.seed}{fold}"


class _Follow(keras.callbacks.Callback):
    """Counts batches as they begin: at their end Keras would have to wait for the device to know the loss."""

    def __init__(self, task: Task, shown: Display, together: int) -> None:
        super().__init__()
        self._task, self._shown, self._together = task, shown, together
        self._epoch, self._text = 0, ""
        self._next = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.25
            steps = (self.params or {}).get("steps") or 1
            self._shown.show(self._task, self._epoch, max(batch, 1) / max(steps, 2), self._text, self._together)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = logs or {}
        loss, accuracy = values.get("val_loss", values.get("loss")), values.get("val_accuracy", values.get("accuracy"))
        if loss is not None and accuracy is not None:
            self._text = f" · loss {loss:.3f} · accuracy {100 * accuracy:.1f} %"
        self._shown.show(self._task, epoch + 1, 0.0, self._text, self._together)
