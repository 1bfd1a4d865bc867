"""Training one task: build, compile, `fit`, one evaluation, and a `Run` of what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmodels.acceleration import accelerate, execution
from kmodels.checks import require
from kmodels.data import Dataset
from kmodels.data.feed import Feed, training_feed
from kmodels.results.runs import Run
from kmodels.spec.experiment import Recipe
from kmodels.spec.phases import Phase, phases
from kmodels.spec.tasks import Task
from kmodels.torch_step.device import forget_peak_memory
from kmodels.training.apart import Outputs, train_apart
from kmodels.training.checkpoint import Checkpointing
from kmodels.training.chosen_epoch import ChosenEpoch
from kmodels.training.finished_run import finished_run, named_weights
from kmodels.training.keras_settings import fixed_settings
from kmodels.training.network import build_model, compile_model, logits_of, transform_for
from kmodels.training.observing import observed_after, observers
from kmodels.training.stored_threads import using_threads
from kmodels.training.task_data import TaskData, feed_pipeline
from kmodels.training.testing import report_c_classes, require_testable
from kmodels.training.watching import Diverged, SeedMasks, Timing, stop_when_not_finite

__all__ = ["measure_rate", "train"]


@fixed_settings()
def train(
    task: Task,
    dataset: Dataset,
    *,
    pipeline: str = "memory",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: Path | None = None,
    outputs: list[Outputs] | None = None,
    until: int | None = None,
) -> Run:
    """Trains one task and evaluates it once, with the weights of the epoch that its recipe keeps.

    A training whose loss becomes infinite or not a number ends with that step or the next, or with its epoch where
    steps are recorded, and is a result like any other: what the network says then, or said in the best epoch before
    where the recipe keeps that, is what it came to, and `Run.diverged` tells.

    Args:
        task: recipe, seed and fold.
        dataset: the images that `task.recipe.dataset` names.
        pipeline: `memory` or `tfdata`; both feed the same batches.
        callbacks: further Keras callbacks, such as a progress display.
        checkpoint: file that a training of more than a minute writes its state to after an epoch, goes on from if it is
            there, to the very same result, and deletes when it has ended; None for no such file.
        outputs: receives what the network said of the validation and of the test images, for who combines several;
            not for an ensemble whose members are trained apart.
        until: stop after this many epochs, of the recipe's own, and leave the state in `checkpoint` for a later call
            that goes on; None for all of them. What is returned then is how far it got, under the whole recipe's key.

    Returns:
        The run, with its key, scores, curves and predictions.

    Raises:
        ValueError: the recipe does not fit the data, the checkpoint is of another training or already beyond `until`,
            or there is none to leave a state in.
        OSError: the checkpoint cannot be written.
    """
    recipe, began = task.recipe, time.perf_counter()
    whole = recipe.total_epochs
    if until is not None:
        require(1 <= until <= whole, "until", f"an integer from 1 to {whole}, the recipe's epochs", until)
        require(checkpoint is not None, "checkpoint", "a file, where the state is left", checkpoint)
        plain = recipe.train_members == "jointly" and recipe.patience is None
        require(plain, "until", "None for members trained apart and for patience, which ends by itself", until)
    last = whole if until is None else until
    if recipe.train_members == "apart":
        return train_apart(train, task, dataset, pipeline=pipeline, callbacks=callbacks, checkpoint=checkpoint)
    forget_peak_memory(keras.backend.backend())
    data = TaskData.of(task, dataset, pipeline)
    chosen = ChosenEpoch(recipe.keep, recipe.patience, _test_accuracy(data))
    kept = Checkpointing(checkpoint, data.key, last=last, leave=until is not None, chosen=chosen)
    require(kept.epochs <= last, "until", f"{kept.epochs} or more, where the checkpoint is", until)
    with using_threads(kept.threads):
        run, said = _trained(data, kept, chosen, callbacks, last=last, began=began)
    if not run.diverged and until is None:
        kept.delete()
    if outputs is not None:
        outputs += said
    return run


def _trained(
    data: TaskData,
    kept: Checkpointing,
    chosen: ChosenEpoch,
    callbacks: Sequence[keras.callbacks.Callback],
    *,
    last: int,
    began: float,
) -> tuple[Run, list[Outputs]]:
    """Trains to the end of epoch `last`; returns the run, and what the network said of validation and test images."""
    task, dataset, recipe = data.task, data.dataset, data.task.recipe
    feed = data.training()
    validation, held_labels = data.validation()
    steps = feed.steps_per_epoch
    model = build_model(
        recipe,
        dataset.x_train.shape[1:],
        dataset.num_classes,
        seed=task.seed,
        fold=task.fold,
        steps_per_epoch=steps,
    )
    if recipe.testing == "report_c":
        require_testable(model)  # now, not after hours of training
    accelerate(model, mode=kept.mode or "auto", steps=steps * recipe.total_epochs)
    timing = Timing()
    watching = [timing, stop_when_not_finite(steps), SeedMasks(task.seed, task.fold)]
    watching += [*observers(model, data, kept.observations), chosen, kept, *callbacks]
    built = time.perf_counter()
    diverged = ""
    try:
        for phase in phases(recipe):
            if kept.epochs < phase.end and phase.begin < last:
                _fit(model, phase, data, validation, last=last, kept=kept, chosen=chosen, callbacks=watching)
        kept.restore(model)  # where nothing was left to train
    except Diverged as error:
        diverged = f"{error}{kept.described()}"
    fitted = time.perf_counter()

    chosen.restore(model)
    held = logits_of(model, validation), held_labels
    test, labels = data.test(f"evaluation of the {'last' if chosen.epoch is None else 'best'} epoch's weights")
    said, further = logits_of(model, test), {}
    if recipe.testing == "report_c" and not diverged:
        further = report_c_classes(model, test, said, seed=task.seed, fold=task.fold)
    seen = kept.observations if diverged else kept.observations | observed_after(model, data, validation, held_labels)
    run = finished_run(
        data,
        curves=kept.curves,
        diverged=diverged,
        epoch=chosen.epoch,
        validation=held,
        test=(said, labels),
        further=further,
        observations=seen,
        weights=lambda: named_weights(model),
        seconds={
            "build": built - began,
            "fit": kept.seconds + fitted - built,
            "evaluate": time.perf_counter() - fitted,
        },
        images_per_second=feed.images * timing.epochs / timing.seconds if timing.epochs else 0.0,
        weight=model.weights[0].value,
        execution=execution(model),
    )
    return run, [held, (said, labels)]


def _test_accuracy(data: TaskData) -> Callable[[Any], float] | None:
    """What measures a model on the test images after every epoch, for a recipe whose epoch is chosen by that."""
    if data.task.recipe.keep != "best_test_accuracy":
        return None
    test, labels = data.test("accuracy after every epoch, by which the weights are chosen, as the report does")
    return lambda model: float(np.mean(logits_of(model, test).argmax(axis=1) == labels))


def _fit(
    model: Any,
    phase: Phase,
    data: TaskData,
    validation: Feed,
    *,
    last: int,
    kept: Checkpointing,
    chosen: ChosenEpoch,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains one phase, from its beginning or from where its state was kept."""
    first = max(phase.begin, kept.epochs)
    feed = data.training(first)
    if phase.begin:
        compile_model(model, phase.recipe, feed.steps_per_epoch)
    kept.restore(model, optimizer=first > phase.begin)
    if phase.begin and first == phase.begin:
        chosen.restore(model)
    model.fit(
        feed.x,
        steps_per_epoch=feed.steps_per_epoch,
        initial_epoch=first,
        epochs=min(phase.end, last),
        shuffle=False,
        validation_data=validation.x,
        validation_steps=validation.steps_per_epoch,
        callbacks=list(callbacks),
        verbose=0,
    )


@fixed_settings()
def measure_rate(recipe: Recipe, dataset: Dataset, *, pipeline: str = "memory", steps: int = 12) -> float:
    """Returns training images per second on this machine, from one timed pass over a few batches after a warm-up.

    Args:
        recipe: what would be trained; nothing of it is validated or tested here.
        dataset: the images it would train on.
        pipeline: `memory` or `tfdata`.
        steps: batches to time, 1 or more.
    """
    part = np.arange(min(steps * recipe.batch_size, len(dataset.y_train)))
    feed = training_feed(
        feed_pipeline(pipeline),
        dataset.x_train,
        dataset.y_train,
        part,
        transform_for(recipe, dataset, part),
        batch_size=recipe.batch_size,
        drop_last=recipe.drop_last,
        seed=0,
        fold=0,
        epochs=2,
    )
    model = accelerate(
        build_model(recipe, dataset.x_train.shape[1:], dataset.num_classes, seed=0, fold=0), mode="record"
    )
    passes = []
    for _ in range(2):
        timing = Timing()
        model.fit(feed.x, steps_per_epoch=feed.steps_per_epoch, shuffle=False, callbacks=[timing], verbose=0)
        passes.append(timing.seconds)
    return float(feed.images / passes[-1])
