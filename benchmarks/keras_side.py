"""The Keras side of a measurement: a preset compiled, and trained by `fit` with metrics and progress bar on."""

from __future__ import annotations

import contextlib
import io
import re
import time
from typing import Any

import keras
import numpy as np

import kmodels
from benchmarks.settings import Data, Settings
from kmodels import models, optimizers
from kmodels.augment import Transform
from kmodels.data.feed import training_feed

__all__ = ["LONG", "KerasSide", "auto_choice", "build"]

LONG = 1_000_000  # steps that nobody waits for


def build(preset: str, shape: tuple[int, int, int], settings: Settings, *, stock: bool) -> Any:
    """Builds and compiles a preset.

    Args:
        preset: its name.
        shape: of an image.
        settings: optimizer and precision.
        stock: with the optimizers of Keras rather than with those of kmodels, which are PyTorch's.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.precision)
    try:
        model = models.build(preset, shape, 10)
    finally:
        keras.config.set_dtype_policy(before)
    home = keras.optimizers if stock else optimizers
    if settings.optimizer == "adam":
        optimizer = home.Adam(settings.learning_rate)
    else:
        optimizer = home.SGD(settings.learning_rate, momentum=0.9, nesterov=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


class KerasSide:
    """A model and what `fit` is given.

    Args:
        preset: name of the network.
        data: what it is trained on.
        settings: how.
        how: `stock` for plain Keras on float32 arrays; else the mode of `kmodels.accelerate`, fed by `pipeline`.
        pipeline: of the feed.
        augment: crops with 4 pixels of padding and flips.
        steps_per_execution: of the model.
        **options: further arguments of `kmodels.accelerate`.
    """

    def __init__(
        self,
        preset: str,
        data: Data,
        settings: Settings,
        how: str,
        *,
        pipeline: str = "resident",
        augment: bool = False,
        steps_per_execution: int = 1,
        **options: Any,
    ) -> None:
        shape = data.images.shape[1:]
        self.model = build(preset, shape, settings, stock=how == "stock")
        self.settings, self._stock = settings, how == "stock"
        channels = shape[-1]
        transform = Transform(
            mean=(0.5,) * channels, std=(0.25,) * channels, crop_padding=4 if augment else 0, flip=augment
        )
        if self._stock and pipeline == "resident":
            self._images = (data.images.astype(np.float32) / 255.0 - 0.5) / 0.25
            self._labels = data.labels
            return
        if not self._stock:
            kmodels.accelerate(self.model, mode=how, **options)
        self.model.steps_per_execution = steps_per_execution
        self._images = None
        self._feed = training_feed(
            pipeline,
            data.images,
            data.labels,
            np.arange(len(data.labels)),
            transform,
            batch_size=settings.batch,
            drop_last=True,
            seed=0,
            fold=0,
            epochs=LONG,
            steps_per_execution=steps_per_execution,
        )

    def run(self, steps: int, until: int | None = None) -> None:
        """Trains a number of steps; of a feed no more than `until`, though `fit` is asked for all."""
        with contextlib.redirect_stdout(io.StringIO()):
            if self._images is None:
                stop = [] if until is None else [_stop_after(until)]
                self.model.fit(self._feed.x, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=1, callbacks=stop)
                return
            batch, full = self.settings.batch, len(self._labels) // self.settings.batch
            for start in range(0, steps, full):
                count = min(full, steps - start) * batch
                self.model.fit(self._images[:count], self._labels[:count], batch_size=batch, epochs=1, verbose=1)

    def first(self) -> float:
        """Trains a first step, recording and compiling included; returns its seconds."""
        began = time.perf_counter()
        self.run(1)
        return time.perf_counter() - began


def _stop_after(steps: int) -> keras.callbacks.Callback:
    def stop(batch: int, logs: object) -> None:
        callback.model.stop_training = batch + 1 >= steps

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    return callback


def auto_choice(preset: str, data: Data, settings: Settings) -> str:
    """Returns in words when the mode `auto` of `kmodels.accelerate` compiles this network."""
    side = KerasSide(preset, data, settings, "auto")
    side.run(LONG, until=1)
    said = kmodels.explain(side.model)
    found = re.search(r"training: .*?, (recorded|compiled)(?:, to be (compiled after \d+ steps))?", said)
    return (found[2] or found[1]) if found else said.splitlines()[0]
