"""Training one task: build, compile, `fit`, one evaluation, and a `Run` of what came out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from kmodels import augment, environment, models
from kmodels.data import Dataset
from kmodels.data.feed import evaluation_feed, training_feed
from kmodels.data.splits import split_indices
from kmodels.initial_weights import initialize, seed_dropout
from kmodels.keras_settings import fixed_settings
from kmodels.losses import loss_for
from kmodels.results import REVISION, Predictions, Run, run_key
from kmodels.spec import Recipe
from kmodels.tasks import Task
from kmodels.torch_step.device import device_of

__all__ = ["Diverged", "build_model", "measure_rate", "train"]


class Diverged(RuntimeError):
    """The loss became infinite or not a number; the message names the epoch."""


@fixed_settings()
def build_model(recipe: Recipe, image_shape: tuple[int, int, int], num_classes: int, *, seed: int, fold: int) -> Any:
    """Builds and compiles the network of a recipe, with the initial weights of a seed.

    Args:
        recipe: what to train.
        image_shape: `(height, width, channels)` of the stored images.
        num_classes: number of classes.
        seed: seed of the initial weights, which are the same for every fold, and of dropout.
        fold: index of the fold, which dropout depends on.

    Returns:
        A compiled functional model.

    Raises:
        ValueError: the recipe does not fit the builder or the images.
    """
    height, width, channels = image_shape
    if recipe.image_size is not None:
        height = width = recipe.image_size
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        model = models.build(recipe.model, (height, width, channels), num_classes, **recipe.model_args)
    finally:
        keras.config.set_dtype_policy(before)
    initialize(model, seed)
    seed_dropout(model, seed, fold)
    # The reports' optimizers are PyTorch's, whose default epsilon this is; Keras' own is 1e-7. Keras adds it before the
    # bias correction, so it weighs 1/√(1 - 0.999^t) times as much as in PyTorch: 32 times in step 1, 1.3 in step 1,000.
    optimizer = keras.optimizers.Adam(recipe.learning_rate, epsilon=1e-8)
    model.compile(optimizer, loss_for(recipe.head), metrics=["accuracy"], auto_scale_loss=True)
    return model


@fixed_settings()
def train(
    task: Task, dataset: Dataset, *, pipeline: str = "memory", callbacks: Sequence[keras.callbacks.Callback] = ()
) -> Run:
    """Trains one task and evaluates it once, with the weights of its last epoch.

    Args:
        task: recipe, seed and fold.
        dataset: the images that `task.recipe.dataset` names.
        pipeline: `memory` or `tfdata`; both feed the same batches.
        callbacks: further Keras callbacks, such as a progress display.

    Returns:
        The run, with its key, scores, curves and predictions.

    Raises:
        ValueError: the recipe does not fit the data.
        Diverged: the loss became infinite or not a number.
    """
    recipe, began = task.recipe, time.perf_counter()
    openings: list[str] = []
    train_part, validation_part = split_indices(recipe.split, dataset.y_train)[task.fold]
    train_part = train_part[: recipe.train_images]
    transform = _transform(recipe, dataset, train_part)
    feed = training_feed(
        pipeline,
        dataset.x_train,
        dataset.y_train,
        train_part,
        transform,
        batch_size=recipe.batch_size,
        drop_last=recipe.drop_last,
        seed=task.seed,
        fold=task.fold,
        epochs=recipe.epochs,
    )
    if validation_part is None:
        x_held, y_held = dataset.open_test("validation every epoch, as the report does", openings.append)
        held = np.arange(len(y_held))
    else:
        x_held, y_held, held = dataset.x_train, dataset.y_train, validation_part
    validation = evaluation_feed(pipeline, x_held, y_held, held, transform)

    image_shape = dataset.x_train.shape[1:]
    model = build_model(recipe, image_shape, dataset.num_classes, seed=task.seed, fold=task.fold)
    timing = _Timing()
    built = time.perf_counter()
    history = model.fit(
        feed.x,
        steps_per_epoch=feed.steps_per_epoch,
        epochs=recipe.epochs,
        shuffle=False,
        validation_data=validation.x,
        validation_steps=validation.steps_per_epoch,
        callbacks=[_StopWhenNotFinite(), timing, *callbacks],
        verbose=0,
    ).history
    fitted = time.perf_counter()

    held_classes = _logits(model, validation).argmax(axis=1).astype("uint8")
    x_test, y_test = dataset.open_test("evaluation of the last epoch's weights", openings.append)
    test = evaluation_feed(pipeline, x_test, y_test, np.arange(len(y_test)), transform)
    predictions = _predictions(_logits(model, test), y_test, keep_probability=recipe.split.folds == 1)
    curves = {name: [round(float(value), 6) for value in values] for name, values in history.items()}
    backend = keras.backend.backend()
    device = device_of(model.weights[0].value, backend)
    return Run(
        key=run_key(
            recipe,
            data_digest=dataset.digest,
            seed=task.seed,
            fold=task.fold,
            backend=backend,
            revision=REVISION,
            pipeline=pipeline,
        ),
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
            "train_loss": curves["loss"][-1],
            "train_accuracy": curves["accuracy"][-1],
            "validation_loss": curves["val_loss"][-1],
            "validation_accuracy": float(np.mean(held_classes == y_held[held])),
            **_test_scores(predictions, y_test),
        },
        curves=curves,
        predictions=predictions,
        validation_classes=None if validation_part is None else held_classes,
        test_openings=openings,
        seconds={
            "build": round(built - began, 3),
            "fit": round(fitted - built, 3),
            "evaluate": round(time.perf_counter() - fitted, 3),
        },
        images_per_second=round(feed.images * recipe.epochs / timing.seconds, 1),
        peak_memory_bytes=device.peak_memory_bytes,
        device=device.name,
        threads=device.threads,
        backend=backend,
        pipeline=pipeline,
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
        pipeline,
        dataset.x_train,
        dataset.y_train,
        part,
        _transform(recipe, dataset, part),
        batch_size=recipe.batch_size,
        drop_last=recipe.drop_last,
        seed=0,
        fold=0,
        epochs=2,
    )
    model = build_model(recipe, dataset.x_train.shape[1:], dataset.num_classes, seed=0, fold=0)
    passes = []
    for _ in range(2):
        timing = _Timing()
        model.fit(feed.x, steps_per_epoch=feed.steps_per_epoch, shuffle=False, callbacks=[timing], verbose=0)
        passes.append(timing.seconds)
    return float(feed.images / passes[-1])


def _transform(recipe: Recipe, dataset: Dataset, train_part: np.ndarray) -> augment.Transform:
    mean, std = augment.normalization_constants(recipe.normalization, dataset.name, dataset.x_train[train_part])
    return augment.Transform(
        mean=mean,
        std=std,
        image_size=recipe.image_size,
        resize=recipe.resize,
        crop_padding=recipe.crop_padding,
        flip=recipe.flip,
        rotation_degrees=recipe.rotation_degrees,
    )


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


class _StopWhenNotFinite(keras.callbacks.Callback):
    """Ends training with `Diverged` after an epoch whose loss is not finite."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            if not math.isfinite(value):
                raise Diverged(f"{name} is {value} after epoch {epoch + 1}: the training diverged")


class _Timing(keras.callbacks.Callback):
    """Seconds spent on training batches, without validation."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._since: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._since = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        self._stop()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None
