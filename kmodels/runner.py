"""Trains what is missing: a queue of tasks, one run file each, nothing lost when it is interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
from rich.console import Console

from kmodels.data import Dataset
from kmodels.data.splits import split_indices
from kmodels.interrupt import interruptible
from kmodels.progress import describe, display
from kmodels.results import write_run
from kmodels.task_data import key_of
from kmodels.tasks import Task
from kmodels.training import measure_rate, train

__all__ = ["Outcome", "estimate_seconds", "run"]


@dataclass
class Outcome:
    """What a queue of tasks came to.

    Attributes:
        diverged: one line for each task whose training diverged: which, and when.
        interrupted: the call was stopped by Ctrl-C; what had finished is kept.
    """

    diverged: list[str] = field(default_factory=list)
    interrupted: bool = False


def run(queue: Sequence[Task], dataset: Dataset, folder: Path, *, pipeline: str, console: Console) -> Outcome:
    """Trains the tasks that have no run file yet, one after the other, and writes each as soon as it is done.

    Args:
        queue: what to train.
        dataset: the images they train on.
        folder: results folder; runs go to `folder/<experiment>/<key>.json`.
        pipeline: `memory` or `tfdata`.
        console: receives progress.

    Raises:
        OSError: a run cannot be written.
    """
    outcome = Outcome()
    with interruptible() as interruption, display(queue, console) as shown:
        try:
            for task in queue:
                interruption.check()
                if any(folder.glob(f"*/{key_of(task, dataset, pipeline)}.json")):
                    shown.finished(task, "already there")  # another process trained it meanwhile
                    continue
                callbacks = [interruption, shown.callback(task)]
                checkpoint = folder / task.experiment / f"{key_of(task, dataset, pipeline)}.state"
                result = train(task, dataset, pipeline=pipeline, callbacks=callbacks, checkpoint=checkpoint)
                write_run(result, folder)
                if result.diverged:
                    outcome.diverged.append(f"{describe(task)}: {result.diverged}")
                accuracy = 100 * result.scores["validation_accuracy"]
                seconds = sum(result.seconds.values())
                ended = f"diverged: {result.diverged}; " if result.diverged else ""
                shown.finished(task, f"{ended}validation accuracy {accuracy:.2f} % in {seconds:.0f} s")
                keras.utils.clear_session()
            interruption.check()  # asked for during the last evaluation: another data set's queue must not begin
        except KeyboardInterrupt:
            outcome.interrupted = True
    return outcome


def estimate_seconds(queue: Sequence[Task], dataset: Dataset, *, pipeline: str) -> float:
    """Returns about how long a queue takes on this machine, from a few timed steps of each kind of network in it.

    Args:
        queue: what would be trained.
        dataset: the images it would train on.
        pipeline: `memory` or `tfdata`.
    """
    rates: dict[str, float] = {}
    total = 0.0
    for task in queue:
        recipe = task.recipe
        kind = repr((recipe.model, recipe.model_args, recipe.image_size, recipe.batch_size, recipe.precision))
        if kind not in rates:
            rates[kind] = measure_rate(recipe, dataset, pipeline=pipeline)
            keras.utils.clear_session()
        images = len(split_indices(recipe.split, dataset.y_train)[task.fold][0][: recipe.train_images])
        total += recipe.epochs * images / rates[kind]
    return total
