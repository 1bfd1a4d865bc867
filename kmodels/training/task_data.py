"""The images that one task trains, validates and tests on, and how they are fed."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras
import numpy as np

from kmodels.augment import Transform
from kmodels.checks import require
from kmodels.data import Dataset
from kmodels.data.feed import Feed, evaluation_feed, training_feed
from kmodels.data.splits import split_indices
from kmodels.results.runs import REVISION, run_key
from kmodels.spec.tasks import Task
from kmodels.training.network import transform_for

__all__ = ["TaskData", "feed_pipeline", "key_of"]


@dataclass(frozen=True, eq=False)
class TaskData:
    """A task's share of a data set.

    Attributes:
        task: recipe, seed and fold.
        dataset: what it is a share of.
        pipeline: `memory` or `tfdata`.
        key: of the run that comes of it.
        train_part: indices of the training images.
        held: indices of the validation images, within the training images or, where `on_test`, the test images.
        on_test: whether validation images are the test images.
        transform: how stored images become the network's input.
        openings: one line for each time the test set was opened.
    """

    task: Task
    dataset: Dataset
    pipeline: str
    key: str
    train_part: np.ndarray
    held: np.ndarray
    on_test: bool
    transform: Transform
    openings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, task: Task, dataset: Dataset, pipeline: str) -> TaskData:
        """Returns the share of a task.

        Args:
            task: recipe, seed and fold.
            dataset: the images that `task.recipe.dataset` names.
            pipeline: `memory` or `tfdata`.

        Raises:
            ValueError: the recipe does not fit the data.
        """
        recipe = task.recipe
        train_part, validation_part = split_indices(recipe.split, dataset.y_train)[task.fold]
        train_part = train_part[: recipe.train_images]
        on_test = validation_part is None
        held = np.arange(dataset.test_images) if validation_part is None else validation_part
        if recipe.validation_drop_last:
            size = recipe.batch_size
            require(len(held) >= size, "batch_size", f"{len(held)} or less to validate on full batches", size)
            held = held[: len(held) // size * size]
        return cls(
            task=task,
            dataset=dataset,
            pipeline=pipeline,
            key=key_of(task, dataset, pipeline),
            train_part=train_part,
            held=held,
            on_test=on_test,
            transform=transform_for(recipe, dataset, train_part),
        )

    def training(self, first_epoch: int = 0) -> Feed:
        """Returns the batches to train on, epoch after epoch.

        Args:
            first_epoch: epochs done before.
        """
        recipe = self.task.recipe
        return training_feed(
            feed_pipeline(self.pipeline),
            self.dataset.x_train,
            self.dataset.y_train,
            self.train_part,
            self.transform,
            batch_size=recipe.batch_size,
            drop_last=recipe.drop_last,
            seed=self.task.seed,
            fold=self.task.fold,
            epochs=recipe.total_epochs,
            first_epoch=first_epoch,
        )

    def validation(self) -> tuple[Feed, np.ndarray]:
        """Returns the validation images as one pass, and their labels; opens the test set where they are its images."""
        images, labels = self.dataset.x_train, self.dataset.y_train
        if self.on_test:
            reason = "validation every epoch, as the report does"
            images, labels = self.dataset.open_test(reason, self.openings.append)
        feed = evaluation_feed(feed_pipeline(self.pipeline), images, labels, self.held, self.transform)
        return feed, labels[self.held]

    def test(self, reason: str) -> tuple[Feed, np.ndarray]:
        """Opens the test set; returns its images as one pass, and their labels.

        Args:
            reason: what for, in a few words, which are stored with the run.
        """
        images, labels = self.dataset.open_test(reason, self.openings.append)
        every = np.arange(len(labels))
        return evaluation_feed(feed_pipeline(self.pipeline), images, labels, every, self.transform), labels


def feed_pipeline(pipeline: str) -> str:
    """Returns the feed's pipeline for a run's.

    On PyTorch the batches of `memory` are prepared inside the recorded step, from arrays that lie on the device.

    Args:
        pipeline: `memory` or `tfdata`.
    """
    return "resident" if pipeline == "memory" and keras.backend.backend() == "torch" else pipeline


def key_of(task: Task, dataset: Dataset, pipeline: str) -> str:
    """Returns the key of the run that a task comes to with the backend in use; arguments as those of `TaskData.of`."""
    return run_key(
        task.recipe,
        data_digest=dataset.digest,
        seed=task.seed,
        fold=task.fold,
        backend=keras.backend.backend(),
        revision=REVISION,
        pipeline=pipeline,
    )
