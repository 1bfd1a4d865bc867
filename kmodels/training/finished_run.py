"""The `Run` that a training comes to: scores from predictions, and where the numbers come from."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from kmodels.results import environment
from kmodels.results.predictions import STEPS, of_validation
from kmodels.results.runs import REVISION, Predictions, Run
from kmodels.results.weights import KeptWeights, keep
from kmodels.stats.scoring import accuracy, scores_on_test
from kmodels.torch_step.device import device_of
from kmodels.training.task_data import TaskData

__all__ = ["finished_run", "named_weights"]


def finished_run(
    data: TaskData,
    *,
    curves: Mapping[str, Sequence[float]],
    diverged: str,
    epoch: int | None = None,
    validation: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    further: Mapping[str, np.ndarray] | None = None,
    validation_loss: float | None = None,
    observations: Mapping[str, Any] | None = None,
    weights: Callable[[], Sequence[tuple[str, np.ndarray]]] | None = None,
    seconds: Mapping[str, float],
    images_per_second: float,
    weight: Any,
    execution: str,
) -> Run:
    """Returns the run of a training that has ended.

    Args:
        data: what it was trained on.
        curves: per-epoch values by name; of the epochs before it diverged.
        diverged: see `Run`.
        epoch: whose weights were evaluated, counted from 1; None for the last.
        validation: logits `(images, classes)` of that epoch's weights, and labels `(images,)`.
        test: likewise, of all test images.
        further: classes that other ways of testing come to, `(images,)`, by the name of the accuracy that follows from
            them, see `Predictions`; those of validation images too where these are the test images, for whose sake the
            file leaves them out. None for none.
        validation_loss: of that epoch's weights, where no curve of the run's own has it.
        observations: see `Run`; None for none.
        weights: returns those that were evaluated, as `named_weights` does; None where they are no one network's. They
            are kept of one run of a cell, in the report protocol: the first seed's last fold; where they take more
            than 1 MB only if the environment variable `KMODELS_KEEP_WEIGHTS` is `all`.
        seconds: see `Run`.
        images_per_second: see `Run`.
        weight: a weight as the backend holds it, which tells the device.
        execution: see `Run`.
    """
    task, dataset, backend = data.task, data.dataset, keras.backend.backend()
    held_classes = validation[0].argmax(axis=1).astype("uint8")
    predictions = _predictions(*test, keep_probability=task.recipe.split.folds == 1 and not diverged)
    asked = {name: classes.astype("uint8") for name, classes in (further or {}).items()}
    kept = {name: classes for name, classes in asked.items() if not (data.on_test and of_validation(name))}
    predictions = dataclasses.replace(predictions, further=kept)
    device = device_of(weight, backend)
    return Run(
        key=data.key,
        experiment=task.experiment,
        cell=task.cell,
        protocol=task.protocol,
        recipe=task.recipe.as_dict(),
        seed=task.seed,
        fold=task.fold,
        data={
            "name": dataset.name,
            "digest": dataset.digest,
            "source": dataset.source,
            "train_images": len(data.train_part),
            "validation_images": len(data.held),
            "test_images": len(test[1]),
            "num_classes": dataset.num_classes,
        },
        scores={
            **({} if diverged else _scores_of_epoch(curves, epoch)),
            "validation_accuracy": float(np.mean(held_classes == validation[1])),
            **scores_on_test(predictions, test[1]),
            **{name: accuracy(classes, validation[1]) for name, classes in asked.items() if of_validation(name)},
            **({} if validation_loss is None else {"validation_loss": validation_loss}),
        },
        curves=curves,
        observations=observations or {},
        diverged=diverged,
        predictions=predictions,
        validation_classes=None if data.on_test else held_classes,
        weights=_kept(weights, data) if weights is not None and not diverged else None,
        test_openings=data.openings,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        images_per_second=round(images_per_second, 1),
        peak_memory_bytes=device.peak_memory_bytes,
        device=device.name,
        threads=device.threads,
        backend=backend,
        pipeline=data.pipeline,
        execution=execution,
        revision=REVISION,
        versions=environment.versions(),
        commit=environment.commit(),
        sources=environment.sources_digest(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def named_weights(model: Any, values: Sequence[Any] | None = None) -> list[tuple[str, np.ndarray]]:
    """Returns name and values of each weight of a model, running statistics included, states of dropout not.

    Args:
        model: a built model.
        values: of `model.variables`, where they are not the model's own.
    """
    held = [variable.value for variable in model.variables] if values is None else values
    of_variable = {id(variable): value for variable, value in zip(model.variables, held, strict=True)}
    found = [(weight.path, keras.ops.convert_to_numpy(of_variable[id(weight)])) for weight in model.weights]
    # bfloat16 is no type of NumPy's own; float32 holds each of its values exactly
    return [(name, value if value.dtype.kind in "biuf" else value.astype("float32")) for name, value in found]


def _kept(weights: Callable[[], Sequence[tuple[str, np.ndarray]]], data: TaskData) -> KeptWeights | None:
    task, large = data.task, os.environ.get("KMODELS_KEEP_WEIGHTS") == "all"
    if task.protocol != "report" or task.seed != 0 or task.fold != task.recipe.split.folds - 1:
        return None
    if len(data.train_part) * task.recipe.total_epochs <= task.recipe.batch_size:
        return None  # a single step, taken to count sizes: nothing has been learnt
    return keep(weights(), data.key, large=large)


def _scores_of_epoch(curves: Mapping[str, Sequence[float]], epoch: int | None) -> dict[str, float]:
    names = {"train_loss": "loss", "train_accuracy": "accuracy", "validation_loss": "val_loss"}
    at = -1 if epoch is None else epoch - 1
    # an ensemble of members that were trained apart has no curves of its own
    found: dict[str, float] = {name: curves[curve][at] for name, curve in names.items() if curve in curves}
    return found if epoch is None else {**found, "kept_epoch": epoch}


def _predictions(logits: np.ndarray, labels: np.ndarray, *, keep_probability: bool) -> Predictions:
    classes = logits.argmax(axis=1).astype("uint8")
    if not keep_probability:
        return Predictions(classes)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    images = np.arange(len(labels))
    true, confidence = (
        np.round(np.exp(shifted[images, chosen] - log_sum) * STEPS).astype("uint16") for chosen in (labels, classes)
    )
    return Predictions(classes, true, confidence)
