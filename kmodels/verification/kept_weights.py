"""Kept weights evaluated again: what the network says of the test images now, against what its run says it said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kmodels.acceleration import accelerate
from kmodels.data import DataError, Dataset, load
from kmodels.results.runs import Run
from kmodels.results.weights import read_weights
from kmodels.spec.experiment import Recipe
from kmodels.spec.tasks import Task
from kmodels.torch_step.device import device_of
from kmodels.training.network import build_model, logits_of
from kmodels.training.state import restore
from kmodels.training.task_data import TaskData

__all__ = ["Evaluation", "check_weights", "evaluate_weights"]

MOST_FLIPPED = 0.01
"""Share of the images whose class may differ on another kind of device, where sums are added up in another order, and
where the run was evaluated in half precision."""


@dataclass(frozen=True)
class Evaluation:
    """What kept weights say of the test images here.

    Attributes:
        device: what they were evaluated on, in words.
        images: number of test images.
        right: how many are classified rightly here.
        right_then: how many were, by the run's predictions.
        flipped: how many have another class than then.
        same_device: whether the run was evaluated on this kind of device, with this backend.
        precision: arithmetic that the run was trained and evaluated in; here it is float32.
    """

    device: str
    images: int
    right: int
    right_then: int
    flipped: int
    same_device: bool
    precision: str = "float32"

    @property
    def holds(self) -> bool:
        """Whether as many are right as then; on another device or in other arithmetic, whether at most 1 % changed."""
        if self.same_device and self.precision == "float32":
            return self.right == self.right_then
        return self.flipped <= MOST_FLIPPED * self.images

    def __str__(self) -> str:
        where = "the same kind of device" if self.same_device else f"another device, {self.device}"
        arithmetic = "" if self.precision == "float32" else f" in float32 instead of {self.precision}"
        return (
            f"{self.right} of {self.images} images right on {where}{arithmetic}, {self.right_then} then; "
            f"{self.flipped} of another class"
        )


def evaluate_weights(run: Run, folder: Path, dataset: Dataset) -> Evaluation:
    """Evaluates a run's kept weights on the test images: float32, no TF32, 500 images a batch.

    Args:
        run: a run with predictions and kept weights.
        folder: where its weights are, usually the folder of its own file.
        dataset: the data set that it names.

    Raises:
        ValueError: the file is not the run's, is of another network, or the data set has other content; or the run
            has no predictions, or nothing is known of its weights.
        OSError: the file cannot be read.
    """
    if run.weights is None or run.predictions is None:
        raise ValueError(f"run: expected one with predictions and weights. Received: {run.key}")
    if run.data["digest"] != dataset.digest:
        raise ValueError(f"data: expected content {run.data['digest']}. Received: {dataset.digest}")
    kept = read_weights(folder / run.weights.name(run.key), run.weights)
    recipe = Recipe.from_dict(run.recipe).change(precision="float32")
    task = Task(
        experiment=run.experiment, cell=run.cell, protocol="report", recipe=recipe, seed=run.seed, fold=run.fold
    )
    data = TaskData.of(task, dataset, "memory")
    model = build_model(recipe, dataset.x_train.shape[1:], dataset.num_classes, seed=run.seed, fold=run.fold)
    restore(model.weights, tuple(array for _, array in kept), "weights")
    test, labels = data.test("kept weights, evaluated again")
    classes = logits_of(accelerate(model, mode="record"), test).argmax(axis=1)
    backend = keras.backend.backend()
    device = device_of(model.weights[0].value, backend).name
    return Evaluation(
        device=device,
        images=len(labels),
        right=int(np.count_nonzero(classes == labels)),
        right_then=int(np.count_nonzero(run.predictions.classes == labels)),
        flipped=int(np.count_nonzero(classes != run.predictions.classes)),
        same_device=(device, backend) == (run.device, run.backend),
        precision=Recipe.from_dict(run.recipe).precision,
    )


def check_weights(runs: Iterable[Run], results: Path, say: Callable[[str], None]) -> bool:
    """Evaluates the kept weights of some runs and says what came out; returns whether all that there is holds.

    Args:
        runs: those without weights are left out.
        results: the results folder.
        say: receives one line for each run with weights, and one where there is none.
    """
    known = [run for run in runs if run.weights is not None]
    if not known:
        say("No weights are kept of these runs.")
        return False
    holds, evaluated = True, 0
    for run in known:
        assert run.weights is not None
        name, folder = f"{run.experiment}/{run.key}, {run.cell}", results / run.experiment
        if not run.weights.file and not (folder / run.weights.name(run.key)).exists():
            say(f"{name}: {run.weights.size} bytes with sha256 {run.weights.sha256}, not kept here")
            continue
        try:
            found = evaluate_weights(run, folder, load(run.data["name"], report=lambda line: None))
        except (ValueError, OSError, DataError) as error:
            say(f"DIFFERENT: {name}: {error}")
            holds = False
            continue
        evaluated += 1
        holds = holds and found.holds
        say(f"{'' if found.holds else 'DIFFERENT: '}{name}: {found}")
    return holds and evaluated > 0
