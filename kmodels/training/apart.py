"""Training an ensemble's members one after the other, each as it would be trained alone, and combining them then."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from kmodels.checks import require
from kmodels.data import Dataset
from kmodels.models import MODELS, average_net
from kmodels.models.ensemble import RULES, CombineLogits, Rule
from kmodels.models.initial_weights import generator
from kmodels.results.runs import Run
from kmodels.spec.tasks import Task
from kmodels.training.finished_run import finished_run
from kmodels.training.losses import loss_for
from kmodels.training.state import TrainingState, read_state, write_state
from kmodels.training.stored_threads import using_threads
from kmodels.training.task_data import TaskData

__all__ = ["Outputs", "TrainOne", "train_apart"]

Outputs = tuple[np.ndarray, np.ndarray]
"""What a network said of some images, logits `(images, classes)`, and their labels `(images,)`."""


class TrainOne(Protocol):
    """How one member is trained: `kmodels.training.train.train`."""

    def __call__(
        self,
        task: Task,
        dataset: Dataset,
        *,
        pipeline: str,
        callbacks: Sequence[keras.callbacks.Callback],
        checkpoint: Path | None,
        outputs: list[Outputs],
    ) -> Run:
        """Trains a task; `outputs` receives what it said of the validation and of the test images."""


def train_apart(
    train_one: TrainOne,
    task: Task,
    dataset: Dataset,
    *,
    pipeline: str,
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoint: Path | None,
) -> Run:
    """Trains the members of an ensemble apart and evaluates what they say together.

    A member is the very network that its preset's recipe comes to alone with the run's seed; where a preset is there
    more than once, the further ones have seeds that are derived from it. The run's own scores are those of the rule in
    `model_args`; beside them stand those of every rule, as `majority_validation_accuracy`, and of every member, as
    `member1_test_accuracy`. Its curves are the members', as `member1_loss`: there is no epoch of the ensemble.

    Args:
        train_one: trains a member.
        task: recipe with `train_members="apart"`, seed and fold.
        dataset: the images that the recipe names.
        pipeline: `memory` or `tfdata`.
        callbacks: further Keras callbacks, for each member's training.
        checkpoint: beside it lie the state of the member that is being trained and what the finished ones said; None
            for nothing to go on from.

    Returns:
        The run.

    Raises:
        ValueError: the recipe does not fit the data, its model has no members, or a file is of another training.
        OSError: a file cannot be written.
    """
    builder = MODELS[task.recipe.model].builder if task.recipe.model in MODELS else None
    require(builder is average_net, "train_members", "'jointly' for a model without members", task.recipe.model)
    rule: Rule = task.recipe.model_args.get("rule", "mean_logits")
    require(rule in RULES, "rule", f"one of {', '.join(RULES)}", rule)
    data = TaskData.of(task, dataset, pipeline)
    found: list[_Member] = []
    with ExitStack() as stack:
        for number, member in enumerate(_members(task), start=1):
            kept = None if checkpoint is None else checkpoint.with_name(f"{checkpoint.stem}.member{number}")
            found.append(_member(train_one, member, data, pipeline, callbacks, kept))
            if number == 1:  # which may have been trained before an interruption, by another process
                stack.enter_context(using_threads(found[0].run.threads))
        run = _combined(data, rule, [one.run for one in found], [one.outputs for one in found])
    for number in range(1, len(found) + 1):
        if checkpoint is not None:
            checkpoint.with_name(f"{checkpoint.stem}.member{number}.done").unlink(missing_ok=True)
    return run


def _members(task: Task) -> Iterator[Task]:
    names = task.recipe.model_args["members"]
    taken: Counter[str] = Counter()
    for number, name in enumerate(names, start=1):
        recipe = task.recipe.change(model=name, model_args={}, train_members="jointly")
        seed = task.seed if not taken[name] else int(generator("member", task.seed, name, taken[name]).integers(2**31))
        taken[name] += 1
        cell = f"{task.cell}, member {number} of {len(names)}"
        yield dataclasses.replace(task, cell=cell, recipe=recipe, seed=seed)


@dataclasses.dataclass(frozen=True, eq=False)
class _Member:
    run: Run
    outputs: tuple[Outputs, Outputs]


def _member(
    train_one: TrainOne,
    task: Task,
    data: TaskData,
    pipeline: str,
    callbacks: Sequence[keras.callbacks.Callback],
    kept: Path | None,
) -> _Member:
    """Trains a member, or reads what it said where it was trained before the whole was interrupted."""
    done = None if kept is None else kept.with_name(f"{kept.name}.done")
    if done is not None and done.exists():
        state = read_state(done)
        require(state.facts.get("ensemble") == data.key, "checkpoint", f"a member of run {data.key}", done.name)
        held, held_labels, tested, labels = state.model
        return _Member(Run.from_dict(state.facts["run"]), ((held, held_labels), (tested, labels)))
    outputs: list[Outputs] = []
    checkpoint = None if kept is None else kept.with_name(f"{kept.name}.state")
    run = train_one(task, data.dataset, pipeline=pipeline, callbacks=callbacks, checkpoint=checkpoint, outputs=outputs)
    held_outputs, test_outputs = outputs
    if done is not None:
        facts = {"ensemble": data.key, "run": run.as_dict()}
        arrays = (*held_outputs, *test_outputs)
        write_state(done, TrainingState(epochs=task.recipe.total_epochs, model=arrays, optimizer=(), facts=facts))
    keras.utils.clear_session()
    return _Member(run, (held_outputs, test_outputs))


def _combined(data: TaskData, rule: Rule, runs: Sequence[Run], outputs: Sequence[tuple[Outputs, Outputs]]) -> Run:
    """The run of the members together: scores of every rule and of every member."""
    held_labels, labels = outputs[0][0][1], outputs[0][1][1]
    diverged = "; ".join(f"member {i}: {run.diverged}" for i, run in enumerate(runs, start=1) if run.diverged)
    further: dict[str, np.ndarray] = {}
    for number, parts in enumerate(outputs, start=1):
        for part, name in zip(parts, ("validation_accuracy", "test_accuracy"), strict=True):
            further[f"member{number}_{name}"] = part[0].argmax(axis=1)
    said: dict[Rule, tuple[np.ndarray, np.ndarray]] = {}
    for name in RULES:
        held, tested = (_combine(name, [one[part][0] for one in outputs]) for part in (0, 1))
        said[name] = held, tested
        further[f"{name}_validation_accuracy"] = held.argmax(axis=1)
        further[f"{name}_test_accuracy"] = tested.argmax(axis=1)
    loss = None
    if not diverged:
        loss = loss_for(data.task.recipe.head)(held_labels, said[rule][0].astype("float32"))
    images = sum(run.data["train_images"] * len(run.curves.get("loss", ())) for run in runs)
    run = finished_run(
        data,
        curves={
            f"member{i}_{name}": curve for i, run in enumerate(runs, start=1) for name, curve in run.curves.items()
        },
        diverged=diverged,
        validation=(said[rule][0], held_labels),
        test=(said[rule][1], labels),
        further=further,
        validation_loss=None if loss is None else float(keras.ops.convert_to_numpy(loss)),
        seconds={name: sum(run.seconds[name] for run in runs) for name in runs[0].seconds},
        images_per_second=_rate(runs, images),
        weight=keras.ops.convert_to_tensor(np.zeros(1, "float32")),
        execution=" + ".join(dict.fromkeys(run.execution for run in runs)),
    )
    openings = [line for run in runs for line in run.test_openings]
    peak = max(run.peak_memory_bytes for run in runs)
    return dataclasses.replace(run, test_openings=openings, peak_memory_bytes=peak)


def _rate(runs: Sequence[Run], images: int) -> float:
    """Images over the seconds of all members' training batches."""
    seconds = [
        run.data["train_images"] * len(run.curves.get("loss", ())) / run.images_per_second
        for run in runs
        if run.images_per_second
    ]
    return images / sum(seconds) if len(seconds) == len(runs) else 0.0


def _combine(rule: Rule, logits: Sequence[np.ndarray]) -> np.ndarray:
    layer: Any = CombineLogits(rule, dtype="float32")
    combined = layer([keras.ops.convert_to_tensor(one.astype("float32")) for one in logits])
    return np.asarray(keras.ops.convert_to_numpy(combined), dtype="float64")
