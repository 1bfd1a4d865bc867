"""Training one task: build, compile, `fit`, one evaluation, and a `Run` of what came out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmodels import environment
from kmodels.acceleration import accelerate, execution
from kmodels.checkpoint import Checkpointing
from kmodels.data import Dataset
from kmodels.data.feed import evaluation_feed, training_feed
from kmodels.data.splits import split_indices
from kmodels.keras_settings import fixed_settings
from kmodels.network import build_model, transform_for
from kmodels.results import REVISION, Predictions, Run, run_key
from kmodels.spec import Recipe
from kmodels.tasks import Task
from kmodels.torch_step.device import device_of
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
    openings: list[str] = []
    train_part, validation_part = split_indices(recipe.split, dataset.y_train)[task.fold]
    train_part = train_part[: recipe.train_images]
    transform = transform_for(recipe, dataset, train_part)
    backend, source = keras.backend.backend(), _source(pipeline)
    key = run_key(
        recipe,
        data_digest=dataset.digest,
        seed=task.seed,
        fold=task.fold,
        backend=backend,
        revision=REVISION,
        pipeline=pipeline,
    )
    kept = Checkpointing(checkpoint, key)
    feed = training_feed(
        source,
        dataset.x_train,
        dataset.y_train,
        train_part,
        transform,
        batch_size=recipe.batch_size,
        drop_last=recipe.drop_last,
        seed=task.seed,
        fold=task.fold,
        epochs=recipe.epochs,
        first_epoch=kept.epochs,
    )
    if validation_part is None:
        x_held, y_held = dataset.open_test("validation every epoch, as the report does", openings.append)
        held = np.arange(len(y_held))
    else:
        x_held, y_held, held = dataset.x_train, dataset.y_train, validation_part
    validation = evaluation_feed(source, x_held, y_held, held, transform)

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
                callbacks=[StopWhenNotFinite(steps), SeedMasks(task.seed, task.fold), timing, kept, *callbacks],
                verbose=0,
            )
    except Diverged as error:
        diverged = f"{error}{kept.described()}"
    fitted = time.perf_counter()

    held_classes = _logits(model, validation).argmax(axis=1).astype("uint8")
    x_test, y_test = dataset.open_test("evaluation of the last epoch's weights", openings.append)
    test = evaluation_feed(source, x_test, y_test, np.arange(len(y_test)), transform)
    predictions = _predictions(_logits(model, test), y_test, keep_probability=recipe.split.folds == 1 and not diverged)
    curves = kept.curves
    last = {} if diverged else {"train_loss": curves["loss"][-1], "train_accuracy": curves["accuracy"][-1]}
    if not diverged:
        last["validation_loss"] = curves["val_loss"][-1]
    device = device_of(model.weights[0].value, backend)
    if not diverged:
        kept.delete()
    return Run(
        key=key,
        experiment=task.experiment,
        cell=task.cell,
        protocol=task.protocol,
        recipe=recipe.as_dict(),
        seed=task.seed,
        fold=task.fold,
        data={
            "name": dataset.name,
            "digest": dataset.digest,
            "source": dataset.source,
            "train_images": len(train_part),
            "validation_images": len(held),
            "test_images": len(y_test),
        },
        scores={
            **last,
            "validation_accuracy": float(np.mean(held_classes == y_held[held])),
            **_test_scores(predictions, y_test),
        },
        curves=curves,
        diverged=diverged,
        predictions=predictions,
        validation_classes=None if validation_part is None else held_classes,
        test_openings=openings,
        seconds={
            "build": round(built - began, 3),
            "fit": round(kept.seconds + fitted - built, 3),
            "evaluate": round(time.perf_counter() - fitted, 3),
        },
        images_per_second=round(feed.images * timing.epochs / timing.seconds, 1) if timing.epochs else 0.0,
        peak_memory_bytes=device.peak_memory_bytes,
        device=device.name,
        threads=device.threads,
        backend=backend,
        pipeline=pipeline,
        execution=execution(model),
        revision=REVISION,
        versions=environment.versions(),
        commit=environment.commit(),
        sources=environment.sources_digest(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
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
        _source(pipeline),
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


def _source(pipeline: str) -> str:
    """On PyTorch the batches of `memory` are prepared inside the recorded step, from arrays that lie on the device."""
    return "resident" if pipeline == "memory" and keras.backend.backend() == "torch" else pipeline


def _logits(model: Any, feed: Any) -> np.ndarray:
    return np.asarray(model.predict(feed.x, steps=feed.steps_per_epoch, verbose=0), dtype="float64")


def _predictions(logits: np.ndarray, labels: np.ndarray, *, keep_probability: bool) -> Predictions:
    classes = logits.argmax(axis=1).astype("uint8")
    if not keep_probability:
        return Predictions(classes)
    shifted = logits - logits.max(axis=1, keepdims=True)
    true = shifted[np.arange(len(labels)), labels]
    probability = np.exp(true - np.log(np.exp(shifted).sum(axis=1)))
    return Predictions(classes, np.round(probability * 65535).astype("uint16"))


def _test_scores(predictions: Predictions, labels: np.ndarray) -> dict[str, float]:
    """Scores from what is stored, so that anybody can compute the very same numbers from the file."""
    scores = {"test_accuracy": float(np.mean(predictions.classes == labels))}
    kept = predictions.true_class_probability
    if kept is not None:
        # half a step stands for a probability that rounds to zero
        scores["test_nll"] = float(-np.log(np.maximum(kept, 0.5) / 65535).mean())
    return scores
