"""Trains what is missing: a queue of tasks, one run file each, nothing lost when it is interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
from rich.console import Console

from kmodels.data import Dataset
from kmodels.data.splits import split_indices
from kmodels.interrupt import interruptible
from kmodels.progress import Display, describe, display
from kmodels.results import Run, write_run
from kmodels.task_data import key_of
from kmodels.tasks import Task
from kmodels.training import measure_rate, train
from kmodels.training_many import train_many, vectorised_by_default

__all__ = ["Outcome", "estimate_seconds", "run"]

_MOST = 32  # tasks trained at once: what they pass from layer to layer has to fit into memory together


@dataclass
class Outcome:
    """What a queue of tasks came to.

    Attributes:
        diverged: one line for each task whose training diverged: which, and when.
        interrupted: the call was stopped by Ctrl-C; what had finished is kept.
    """

    diverged: list[str] = field(default_factory=list)
    interrupted: bool = False


def run(
    queue: Sequence[Task],
    dataset: Dataset,
    folder: Path,
    *,
    pipeline: str,
    console: Console,
    together: bool | None = None,
) -> Outcome:
    """Trains the tasks that have no run file yet, one after the other, and writes each as soon as it is done.

    Tasks of one recipe are trained at once where that is faster, up to 32 of them; they are written together.

    Args:
        queue: what to train.
        dataset: the images they train on.
        folder: results folder; runs go to `folder/<experiment>/<key>.json`.
        pipeline: `memory` or `tfdata`.
        console: receives progress.
        together: train tasks of one recipe at once; None for what `vectorised_by_default` says of the recipe.

    Raises:
        OSError: a run cannot be written.
    """
    outcome = Outcome()
    with interruptible() as interruption, display(queue, console) as shown:
        try:
            for at_once, group in _groups(queue, dataset, pipeline, together):
                rest = []
                for task in group:
                    interruption.check()
                    key = key_of(task, dataset, pipeline)
                    state = folder / task.experiment / f"{key}.state"
                    if any(folder.glob(f"*/{key}.json")):
                        shown.finished(task, "already there")  # another process trained it meanwhile
                    elif at_once and not state.exists():
                        rest.append(task)
                    else:  # alone, as is what was begun alone
                        callbacks = [interruption, shown.callback(task)]
                        result = train(task, dataset, pipeline=pipeline, callbacks=callbacks, checkpoint=state)
                        _keep(task, result, folder, shown, outcome)
                if rest:
                    callbacks = [interruption, shown.callback(rest[0], together=len(rest))]
                    results = train_many(rest, dataset, pipeline=pipeline, callbacks=callbacks)
                    for task, result in zip(rest, results, strict=True):
                        _keep(task, result, folder, shown, outcome)
                keras.utils.clear_session()
            interruption.check()  # asked for during the last evaluation: another data set's queue must not begin
        except KeyboardInterrupt:
            outcome.interrupted = True
    return outcome


def _groups(
    queue: Sequence[Task], dataset: Dataset, pipeline: str, together: bool | None
) -> Iterator[tuple[bool, list[Task]]]:
    """Yields whether tasks are trained at once, and which: those of one recipe where its first stands, or one."""
    left = list(queue)
    known: dict[str, bool] = {}
    while left:
        recipe = left[0].recipe
        name = repr(recipe)
        if name not in known:
            default = together is None and vectorised_by_default(recipe, dataset, pipeline=pipeline)
            known[name] = default if together is None else together
        same = [task for task in left if task.recipe == recipe][:_MOST] if known[name] else left[:1]
        left = [task for task in left if task not in same]
        yield known[name], same


def _keep(task: Task, result: Run, folder: Path, shown: Display, outcome: Outcome) -> None:
    """Writes a run and says how it ended."""
    write_run(result, folder)
    if result.diverged:
        outcome.diverged.append(f"{describe(task)}: {result.diverged}")
    accuracy = 100 * result.scores["validation_accuracy"]
    seconds = sum(result.seconds.values())
    ended = f"diverged: {result.diverged}; " if result.diverged else ""
    shown.finished(task, f"{ended}validation accuracy {accuracy:.2f} % in {seconds:.0f} s")


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
