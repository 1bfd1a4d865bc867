"""The `Run` that a training comes to: scores from predictions, and where the numbers come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from kmodels import environment
from kmodels.kept_predictions import STEPS
from kmodels.results import REVISION, Predictions, Run
from kmodels.scoring import scores_on_test
from kmodels.task_data import TaskData
from kmodels.torch_step.device import device_of

__all__ = ["finished_run"]


def finished_run(
    data: TaskData,
    *,
    curves: Mapping[str, Sequence[float]],
    diverged: str,
    validation: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
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
        validation: logits `(images, classes)` of the last epoch's weights, and labels `(images,)`.
        test: likewise, of all test images.
        seconds: see `Run`.
        images_per_second: see `Run`.
        weight: a weight as the backend holds it, which tells the device.
        execution: see `Run`.
    """
    task, dataset, backend = data.task, data.dataset, keras.backend.backend()
    held_classes = validation[0].argmax(axis=1).astype("uint8")
    predictions = _predictions(*test, keep_probability=task.recipe.split.folds == 1 and not diverged)
    last = {} if diverged else {"train_loss": curves["loss"][-1], "train_accuracy": curves["accuracy"][-1]}
    if not diverged:
        last["validation_loss"] = curves["val_loss"][-1]
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
            **last,
            "validation_accuracy": float(np.mean(held_classes == validation[1])),
            **scores_on_test(predictions, test[1]),
        },
        curves=curves,
        diverged=diverged,
        predictions=predictions,
        validation_classes=None if data.on_test else held_classes,
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
