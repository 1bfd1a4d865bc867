"""Trains what is missing: a queue of tasks, one run file each, nothing lost when it is interrupted."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import keras
from rich.console import Console

from kmodels.data import Dataset
from kmodels.interrupt import Interruption, interruptible
from kmodels.progress import Display, describe, display
from kmodels.results.runs import Run, write_run
from kmodels.running.budget import Budget
from kmodels.running.key_lock import locked
from kmodels.spec.tasks import Task
from kmodels.training.many import train_many, vectorised_by_default
from kmodels.training.task_data import key_of
from kmodels.training.train import train

__all__ = ["Outcome", "is_there", "keep", "run"]

_MOST = 32  # tasks trained at once: what they pass from layer to layer has to fit into memory together


@dataclass
class Outcome:
    """What a queue of tasks came to.

    Attributes:
        trained: how many tasks came to a run.
        diverged: one line for each task whose training diverged: which, and when.
        failed: one line for each task whose training raised an error: which, and what.
        elsewhere: tasks left alone because another process was training them.
        unfit: tasks that were not begun, as they would not have ended within the budget.
        interrupted: the call was stopped by Ctrl-C; what had finished is kept.
    """

    trained: int = 0
    diverged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    elsewhere: list[Task] = field(default_factory=list)
    unfit: list[Task] = field(default_factory=list)
    interrupted: bool = False


def run(
    queue: Sequence[Task],
    datasets: Mapping[str, Dataset],
    folder: Path,
    *,
    pipeline: str,
    console: Console,
    together: bool | None = None,
    seconds: Sequence[float] | None = None,
    budget: Budget | None = None,
    keep_going: bool = False,
) -> Outcome:
    """Trains the tasks that have no run file yet, one after the other, and writes each as soon as it is done.

    Tasks of one recipe are trained at once where that is faster, up to 32 of them; they are written together. A task
    that another process is training is left to it.

    Args:
        queue: what to train.
        datasets: the images they train on, by the name that recipes have for them.
        folder: results folder; runs go to `folder/<experiment>/<key>.json`.
        pipeline: `memory` or `tfdata`.
        console: receives progress.
        together: train tasks of one recipe at once; None for what `vectorised_by_default` says of the recipe.
        seconds: about how long each task takes, for the time that is shown to be left; None where all take as long.
        budget: begin nothing that would not end within it; None for no limit.
        keep_going: go on with the next task where a training raises an error, instead of raising it.

    Raises:
        OSError: a run cannot be written.
    """
    outcome = Outcome()
    with interruptible() as interruption, display(queue, console, seconds) as shown:
        call = _Call(datasets, folder, pipeline, shown, interruption, budget, outcome)
        try:
            for at_once, group in _groups(queue, datasets, pipeline, together):
                try:
                    call.train(group, at_once)
                except OSError:
                    raise
                except Exception as error:
                    if not keep_going:
                        raise
                    console.print(traceback.format_exc(), markup=False, highlight=False, soft_wrap=True)
                    outcome.failed.append(f"{describe(group[0])}: {type(error).__name__}: {error}")
                    keras.utils.clear_session()
            interruption.check()  # asked for during the last evaluation: what the caller does next must not begin
        except KeyboardInterrupt:
            outcome.interrupted = True
    return outcome


@dataclass(frozen=True)
class _Call:
    """What all groups of one call of `run` share."""

    datasets: Mapping[str, Dataset]
    folder: Path
    pipeline: str
    shown: Display
    interruption: Interruption
    budget: Budget | None
    outcome: Outcome

    def train(self, group: Sequence[Task], at_once: bool) -> None:
        dataset = self.datasets[group[0].recipe.dataset]
        with ExitStack() as locks:
            rest: list[Task] = []
            for task in group:
                self.interruption.check()
                key = key_of(task, dataset, self.pipeline)
                state = self.folder / task.experiment / f"{key}.state"
                alone = not at_once or state.exists()  # what was begun alone goes on alone
                if is_there(self.folder, key):
                    self.shown.finished(task, "already there")
                elif self.budget is not None and not self.budget.fits([task] if alone else [*rest, task]):
                    self.outcome.unfit.append(task)
                elif not locks.enter_context(locked(self.folder, key)):
                    self.outcome.elsewhere.append(task)
                    self.shown.finished(task, "left to another process, which is training it")
                elif is_there(self.folder, key):  # written while we asked for the lock
                    self.shown.finished(task, "already there")
                elif not alone:
                    rest.append(task)
                else:
                    callbacks = [self.interruption, self.shown.callback(task)]
                    result = train(task, dataset, pipeline=self.pipeline, callbacks=callbacks, checkpoint=state)
                    self._keep(task, result)
                    keras.utils.clear_session()
            if rest:
                callbacks = [self.interruption, self.shown.callback(rest[0], together=len(rest))]
                results = train_many(rest, dataset, pipeline=self.pipeline, callbacks=callbacks)
                for task, result in zip(rest, results, strict=True):
                    self._keep(task, result)
                keras.utils.clear_session()

    def _keep(self, task: Task, result: Run) -> None:
        keep(task, result, self.folder, self.shown, self.outcome, self.budget)


def is_there(folder: Path, key: str) -> bool:
    """Returns whether a run has a file in the results folder, under whichever experiment."""
    return any(folder.glob(f"*/{key}.json"))


def keep(task: Task, result: Run, folder: Path, shown: Display, outcome: Outcome, budget: Budget | None = None) -> None:
    """Writes a run and says how it ended.

    Args:
        task: what was trained.
        result: what came out.
        folder: results folder.
        shown: receives one line.
        outcome: is told.
        budget: learns how long it took.

    Raises:
        OSError: the run cannot be written.
    """
    write_run(result, folder)
    outcome.trained += 1
    if budget is not None:
        budget.learn(result)
    if result.diverged:
        outcome.diverged.append(f"{describe(task)}: {result.diverged}")
    accuracy = 100 * result.scores["validation_accuracy"]
    seconds = sum(result.seconds.values())
    ended = f"diverged: {result.diverged}; " if result.diverged else ""
    shown.finished(task, f"{ended}validation accuracy {accuracy:.2f} % in {seconds:.0f} s")


def _groups(
    queue: Sequence[Task], datasets: Mapping[str, Dataset], pipeline: str, together: bool | None
) -> Iterator[tuple[bool, list[Task]]]:
    """Yields whether tasks are trained at once, and which: those of one recipe where its first stands, or one."""
    left = list(queue)
    known: dict[str, bool] = {}
    while left:
        recipe = left[0].recipe
        name = repr(recipe)
        if name not in known:
            dataset = datasets[recipe.dataset]
            default = together is None and vectorised_by_default(recipe, dataset, pipeline=pipeline)
            known[name] = default if together is None else together
        same = [task for task in left if task.recipe == recipe][:_MOST] if known[name] else left[:1]
        taken = {id(task) for task in same}
        left = [task for task in left if id(task) not in taken]
        yield known[name], same
