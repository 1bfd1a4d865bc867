"""Training several tasks of one recipe at once: folds and seeds, each step taken for all of them."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

from kmodels import models
from kmodels.checks import require
from kmodels.data import Dataset
from kmodels.models.initial_weights import initialize, seed_dropout
from kmodels.results.runs import Run
from kmodels.spec.experiment import Recipe
from kmodels.spec.tasks import Task
from kmodels.torch_step.device import forget_peak_memory
from kmodels.torch_step.float32 import without_tf32
from kmodels.training.finished_run import finished_run, named_weights
from kmodels.training.keras_settings import fixed_settings
from kmodels.training.network import build_model
from kmodels.training.state import NO_STATE, capture
from kmodels.training.task_data import TaskData
from kmodels.training.train import train
from kmodels.training.watching import not_finite

__all__ = ["train_many", "vectorised_by_default"]

_KNOWN: dict[str, Any] = {"restarts": (), "keep": "last", "patience": None, "testing": "standard"}
_KNOWN |= {"observe": (), "train_members": "jointly"}
"""Fields of a recipe that single trainings alone act on, with the value that asks for nothing."""
_PARAMETERS = 1_000_000
_MACS = 20_000_000


@fixed_settings()
def train_many(
    tasks: Sequence[Task],
    dataset: Dataset,
    *,
    pipeline: str = "memory",
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[Run]:
    """Trains tasks that differ in seed and fold alone as one vectorised step, on the PyTorch backend.

    Each run is what `kmodels.training.train.train` gives for its task, within 5e-4 of each weight's length after a few
    epochs: batches, initial weights and dropout masks are the same, sums are taken in another order. (But a training of
    so few steps that `train` leaves them to Keras draws other dropout masks there: those are Keras' own.) A task that
    diverges ends there, as it would alone, while the others go on. What cannot be vectorised is trained one by one,
    with one warning that names the cause. There is no file to go on from: what is interrupted begins again.

    Args:
        tasks: one or more, each seed and fold once.
        dataset: the images that the recipe's `dataset` names.
        pipeline: `memory`, or `tfdata`, which is trained one by one.
        callbacks: further Keras callbacks, called for all tasks at once, with the mean of what they log.

    Returns:
        One run a task, in the order of the tasks.

    Raises:
        ValueError: the tasks are not of one recipe, or it does not fit the data.
    """
    require(len(tasks) >= 1, "tasks", "at least one", len(tasks))
    recipe = tasks[0].recipe
    require(all(task.recipe == recipe for task in tasks), "tasks", "tasks of one recipe", "several recipes")
    places = [(task.seed, task.fold) for task in tasks]
    require(len(set(places)) == len(places), "tasks", "each seed and fold once", places)
    reason = _one_by_one(recipe, pipeline)
    if reason is None:
        from kmodels.torch_step.causes import CannotRecord
        from kmodels.torch_step.optimizer_rules import Unsupported  # imports PyTorch: only where it is the backend

        try:
            return _train(tasks, dataset, pipeline, callbacks)
        except (CannotRecord, Unsupported) as error:
            reason = str(error)
    warnings.warn(f"kmodels: {len(tasks)} tasks are trained one by one: {reason}", stacklevel=2)
    return [train(task, dataset, pipeline=pipeline, callbacks=callbacks) for task in tasks]


def vectorised_by_default(recipe: Recipe, dataset: Dataset, *, pipeline: str = "memory") -> bool:
    """Returns whether tasks of a recipe are trained at once: on a GPU, where networks are small; never on a CPU.

    A GPU is idle for most of the step of a small network, which costs hardly less than the step of ten (reasoned,
    not measured; `benchmarks/gpu.py` measures it). A CPU is not: there ten folds of LeNet at batch 128 take longer
    at once than one after the other (`benchmarks/README.md` has the command). What ten networks pass from layer to
    layer does not stay in its caches, and a grouped convolution takes longer than the single ones together.

    The answer depends on the recipe and the kind of device alone, never on how many tasks are left.

    Args:
        recipe: of the tasks.
        dataset: the images, whose shape decides what the network costs.
        pipeline: `memory` or `tfdata`.
    """
    if _one_by_one(recipe, pipeline) is not None or recipe.clip_norm is not None or recipe.precision == "mixed_float16":
        return False
    from kmodels.torch_step.keras_internals import current_device

    if not current_device().startswith("cuda"):
        return False
    height, width, channels = dataset.x_train.shape[1:]
    if recipe.image_size is not None:
        height = width = recipe.image_size
    size = models.size_of(recipe.model, (height, width, channels), dataset.num_classes, **recipe.model_args)
    return size.trainable <= _PARAMETERS and size.macs <= _MACS


def _one_by_one(recipe: Recipe, pipeline: str) -> str | None:
    """Why tasks of a recipe are not vectorised here; or None. What its optimizer or network forbids shows later."""
    for name, known in _KNOWN.items():
        if (value := getattr(recipe, name)) != known:
            return f"the recipe has {name}={value!r}"
    backend = keras.backend.backend()
    if backend != "torch":
        return f"steps are vectorised on PyTorch, not under KERAS_BACKEND={backend}"
    return None if pipeline == "memory" else f"batches of pipeline {pipeline} are not prepared on the device"


@dataclass
class _Member:
    """What becomes of one task.

    Attributes:
        curves: per-epoch values by name, up to where it diverged.
        diverged: see `Run`.
        weights: those that it diverged with, which the steps of the others would move on.
    """

    curves: dict[str, list[float]] = field(default_factory=dict)
    diverged: str = ""
    weights: Any = None


def _train(
    tasks: Sequence[Task], dataset: Dataset, pipeline: str, callbacks: Sequence[keras.callbacks.Callback]
) -> list[Run]:
    from kmodels.torch_step.vectorised import Replicas, epoch_batches

    recipe, began = tasks[0].recipe, time.perf_counter()
    forget_peak_memory("torch")
    shares = [TaskData.of(task, dataset, pipeline) for task in tasks]
    _require_equal_sizes(shares)
    feeds, validations = [share.training() for share in shares], [share.validation() for share in shares]
    steps, held_steps = feeds[0].steps_per_epoch, validations[0][0].steps_per_epoch
    shape = dataset.x_train.shape[1:]
    model = build_model(recipe, shape, dataset.num_classes, seed=0, fold=0, steps_per_epoch=steps)
    starts = []
    for task in tasks:
        initialize(model, task.seed)
        seed_dropout(model, task.seed, task.fold)
        starts.append(capture(model.variables))
    replicas = Replicas(model, starts, [share.transform for share in shares], steps=steps * recipe.epochs)
    members = [_Member() for _ in tasks]
    told = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=recipe.epochs, steps=steps, verbose=0)
    held = list(epoch_batches([feed.x for feed, _ in validations], 0, held_steps))
    built, on_batches, epochs = time.perf_counter(), 0.0, 0
    model.stop_training = False
    told.on_train_begin()
    for epoch in range(recipe.epochs):
        since = time.perf_counter()
        told.on_epoch_begin(epoch)
        for step, batch in enumerate(epoch_batches([feed.x for feed in feeds], epoch, steps)):
            told.on_train_batch_begin(step)
            replicas.train(feeds[0].x.source, batch)
            told.on_train_batch_end(step)
        trained = replicas.end_epoch()
        on_batches, epochs = on_batches + time.perf_counter() - since, epochs + 1
        tested, _ = replicas.evaluate(validations[0][0].x.source, _announced(held, told))
        logs = [
            {"accuracy": accuracy, "loss": loss, "val_accuracy": val_accuracy, "val_loss": val_loss}
            for loss, accuracy, val_loss, val_accuracy in zip(
                trained.loss, trained.accuracy, tested.loss, tested.accuracy, strict=True
            )
        ]
        _note(members, logs, epoch, steps, replicas)
        told.on_epoch_end(epoch, _mean([logs[i] for i, member in enumerate(members) if not member.diverged] or logs))
        if model.stop_training or all(member.diverged for member in members):
            break
    told.on_train_end()
    fitted = time.perf_counter()

    for replica, member in enumerate(members):
        if member.weights is not None:
            replicas.set_weights(replica, member.weights)
    held_logits = _logits(replicas, validations[0][0], held)
    tests = [share.test("evaluation of the last epoch's weights") for share in shares]
    test, labels = tests[0]
    test_logits = _logits(replicas, test, epoch_batches([feed.x for feed, _ in tests], 0, test.steps_per_epoch))
    seconds = {"build": built - began, "fit": fitted - built, "evaluate": time.perf_counter() - fitted}
    return [
        finished_run(
            share,
            curves=member.curves,
            diverged=member.diverged,
            validation=(held_logits[replica], validations[replica][1]),
            test=(test_logits[replica], labels),
            weights=partial(_weights, model, replicas, replica),
            seconds={name: value / len(tasks) for name, value in seconds.items()},
            images_per_second=len(tasks) * feeds[0].images * epochs / on_batches,
            weight=model.weights[0].value,
            execution="vectorised",
        )
        for replica, (share, member) in enumerate(zip(shares, members, strict=True))
    ]


def _weights(model: Any, replicas: Any, replica: int) -> list[tuple[str, np.ndarray]]:
    return named_weights(model, replicas.weights(replica))


def _require_equal_sizes(shares: Sequence[TaskData]) -> None:
    from kmodels.torch_step.optimizer_rules import Unsupported

    for what, sizes in (
        ("training", {len(share.train_part) for share in shares}),
        ("validation", {len(share.held) for share in shares}),
    ):
        if len(sizes) > 1:
            raise Unsupported(f"the folds have {min(sizes)} to {max(sizes)} {what} images, not all as many")


def _announced(batches: Iterable[Any], told: keras.callbacks.CallbackList) -> Iterator[Any]:
    """The batches of a validation, each told of to the callbacks before it is computed."""
    told.on_test_begin()
    for step, batch in enumerate(batches):
        told.on_test_batch_begin(step)
        yield batch
        told.on_test_batch_end(step)
    told.on_test_end()


def _note(members: Sequence[_Member], logs: Sequence[dict[str, float]], epoch: int, steps: int, replicas: Any) -> None:
    """Appends an epoch to the curves; ends those that are no longer finite."""
    for replica, (member, values) in enumerate(zip(members, logs, strict=True)):
        if member.diverged:
            continue
        if not all(map(math.isfinite, values.values())):
            member.diverged = not_finite(values, epoch, replicas.first_bad_steps()[replica], steps) + NO_STATE
            member.weights = replicas.weights(replica)
            continue
        for name, value in values.items():
            member.curves.setdefault(name, []).append(round(value, 6))


def _mean(logs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([values[name] for values in logs])) for name in logs[0]}


def _logits(replicas: Any, feed: Any, batches: Iterable[Any]) -> np.ndarray:
    with without_tf32():
        _, logits = replicas.evaluate(feed.x.source, batches)
    return np.asarray(logits.cpu().numpy(), dtype="float64")
