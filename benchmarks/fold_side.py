"""Folds of one network trained as one vectorised step, as a side that can be timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.keras_side import LONG, build
from benchmarks.settings import Data, Settings
from kmodels.augment import Transform
from kmodels.data.feed import training_feed
from kmodels.torch_step.vectorised import Replicas, epoch_batches

__all__ = ["FoldSide"]


class FoldSide:
    """Replicas of a preset, each with images in an order of its own.

    Args:
        preset: name of the network.
        data: what they are trained on.
        settings: how; a step takes a batch for each replica.
        mode: `record` or `compile`.
        replicas: how many.
    """

    def __init__(self, preset: str, data: Data, settings: Settings, mode: str, *, replicas: int) -> None:
        shape = data.images.shape[1:]
        model = build(preset, shape, settings, stock=False)
        model.optimizer.build(model.trainable_variables)
        starts = [[variable.value.detach().clone() for variable in model.variables] for _ in range(replicas)]
        transform = Transform(mean=(0.5,) * shape[-1], std=(0.25,) * shape[-1])
        self._replicas = Replicas(model, starts, [transform] * replicas, steps=LONG, mode=mode)
        everything = np.arange(len(data.labels))
        options: dict[str, Any] = {"batch_size": settings.batch, "drop_last": True, "seed": 0, "epochs": LONG}
        feeds = [
            training_feed("resident", data.images, data.labels, everything, transform, fold=fold, **options)
            for fold in range(replicas)
        ]
        self._source = feeds[0].x.source
        self._batches = self._endless([feed.x for feed in feeds], feeds[0].steps_per_epoch)

    @staticmethod
    def _endless(feeds: list[Any], steps: int) -> Iterator[Any]:
        epoch = 0
        while True:
            yield from epoch_batches(feeds, epoch, steps)
            epoch += 1

    def run(self, steps: int) -> None:
        """Trains all replicas a number of steps."""
        for _ in range(steps):
            self._replicas.train(self._source, next(self._batches))
        self._replicas.end_epoch()

    def first(self) -> float:
        """Trains a first step, recording and compiling included; returns its seconds."""
        began = time.perf_counter()
        self.run(1)
        return time.perf_counter() - began
