"""Training one task: build, compile, `fit`, one evaluation, and a `Run` of what came out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmodels.acceleration import accelerate, execution
from kmodels.checkpoint import Checkpointing
from kmodels.data import Dataset
from kmodels.data.feed import training_feed
from kmodels.finished_run import finished_run
from kmodels.keras_settings import fixed_settings
from kmodels.network import build_model, transform_for
from kmodels.results import Run
from kmodels.spec import Recipe
from kmodels.task_data import TaskData, feed_pipeline
from kmodels.tasks import Task
from kmodels.watching import Diverged, SeedMasks, StopWhenNotFinite, Timing

__all__ = ["measure_rate", "train"]


@fixed_settings()
def train(
    task: Task,
    dataset: Dataset,
    *,
    pipeline: str = "memory",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: Path | None = None,
) -> Run:
    """Trains one task and evaluates it once, with the weights of its last epoch.

    A training whose loss becomes infinite or not a number ends with that epoch, and is a result like any other: what
    the network says then is what the recipe came to, and `Run.diverged` tells.

    Args:
        task: recipe, seed and fold.
        dataset: the images that `task.recipe.dataset` names.
        pipeline: `memory` or `tfdata`; both feed the same batches.
        callbacks: further Keras callbacks, such as a progress display.
        checkpoint: file that a training of more than a minute writes its state to after an epoch, goes on from if it is
            there, to the very same result, and deletes when it has ended; None for no such file.

    Returns:
        The run, with its key, scores, curves and predictions.

    Raises:
        ValueError: the recipe does not fit the data, or the checkpoint is of another training.
        OSError: the checkpoint cannot be written.
    """
    recipe, began = task.recipe, time.perf_counter()
    data = TaskData.of(task, dataset, pipeline)
    kept = Checkpointing(checkpoint, data.key)
    feed = data.training(kept.epochs)
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
    accelerate(model, mode=kept.mode or "auto", steps=steps * recipe.epochs)
    kept.restore(model)
    timing = Timing()
    built = time.perf_counter()
    diverged = ""
    try:
        if kept.epochs < recipe.epochs:
            model.fit(
                feed.x,
                steps_per_epoch=steps,
                initial_epoch=kept.epochs,
                epochs=recipe.epochs,
                shuffle=False,
                validation_data=validation.x,
                validation_steps=validation.steps_per_epoch,
                callbacks=[timing, StopWhenNotFinite(steps), SeedMasks(task.seed, task.fold), kept, *callbacks],
                verbose=0,
            )
    except Diverged as error:
        diverged = f"{error}{kept.described()}"
    finally:
        kept.end()
    fitted = time.perf_counter()

    held = _logits(model, validation), held_labels
    test, labels = data.test()
    outputs = _logits(model, test), labels
    if not diverged:
        kept.delete()
    return finished_run(
        data,
        curves=kept.curves,
        diverged=diverged,
        validation=held,
        test=outputs,
        seconds={
            "build": built - began,
            "fit": kept.seconds + fitted - built,
            "evaluate": time.perf_counter() - fitted,
        },
        images_per_second=feed.images * timing.epochs / timing.seconds if timing.epochs else 0.0,
        weight=model.weights[0].value,
        execution=execution(model),
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


def _logits(model: Any, feed: Any) -> np.ndarray:
    return np.asarray(model.predict(feed.x, steps=feed.steps_per_epoch, verbose=0), dtype="float64")
