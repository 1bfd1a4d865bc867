"""Training on one part of the samples and scoring on another, by a rule fixed before either is looked at."""

from __future__ import annotations

import gc
import inspect
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from kmodels.crossval.batches import PartBatches, take
from kmodels.crossval.result import FoldScore
from kmodels.data.splits import split_indices
from kmodels.models.initial_weights import generator, initialize
from kmodels.spec.experiment import Split
from kmodels.training.state import TrainingState, capture, restore

__all__ = ["Training", "forgotten_models", "train_fold"]

_EVALUATION_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Training:
    """How every fold is trained and scored.

    Attributes:
        epochs: passes over the training part, counted from the very first one.
        initial_epoch: passes done before, in the training that this one goes on from.
        batch_size: samples a step.
        metric: what is scored: a name that the model's `evaluate` gives, such as `accuracy` or `loss`.
        direction: whether a larger (`max`) or a smaller value (`min`) of it is better.
        inner_fraction: share of the training part that chooses the epoch; 0 scores the last epoch.
        stratify: keep the shares of the classes in the inner split.
        initial_weights: `seeded` or `build`, see `kmodels.cross_validate`.
    """

    epochs: int
    initial_epoch: int = 0
    batch_size: int
    metric: str
    direction: Literal["max", "min"]
    inner_fraction: float
    stratify: bool
    initial_weights: Literal["seeded", "build"]


def train_fold(
    build: Callable[..., Any],
    x: Any,
    y: np.ndarray,
    parts: tuple[np.ndarray, np.ndarray],
    training: Training,
    *,
    seed: int,
    fold: int,
    start: TrainingState | None = None,
    keep_state: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[FoldScore, TrainingState | None]:
    """Builds, trains and scores one model; nothing of the scored part is looked at before the training has ended.

    Args:
        build: `build()` or `build(seed)`, gives a compiled model.
        x: samples, an array or a nest of arrays.
        y: their targets.
        parts: indices of the training and of the scored part.
        training: how.
        seed: of initial weights, data order and dropout.
        fold: which part is scored; data order and dropout depend on it, initial weights do not.
        start: state to go on from, at `training.initial_epoch`.
        keep_state: return the state after the last epoch.
        callbacks: further Keras callbacks; they must not have been used before.

    Raises:
        ValueError: the model is not compiled, has no such metric, or does not fit the state.
        FloatingPointError: loss or score is not finite.
    """
    began = time.perf_counter()
    train_part, held_part = parts
    inner_part = None
    if training.inner_fraction:
        train_part, inner_part = _inner_split(y, train_part, training, fold)
    with forgotten_models():
        model = _built(build, x, train_part, training, seed=seed, fold=fold)
        follow = _Follow(model, training, seed, fold, start)
        batches = PartBatches(
            x,
            y,
            train_part,
            batch_size=training.batch_size,
            seed=seed,
            fold=fold,
            first_epoch=training.initial_epoch,
        )
        model.fit(
            batches,
            steps_per_epoch=batches.steps,
            initial_epoch=training.initial_epoch,
            epochs=training.epochs,
            shuffle=False,
            validation_data=None if inner_part is None else _pass(x, y, inner_part, training),
            callbacks=[follow, *callbacks],
            verbose=0,
        )
        state = follow.state() if keep_state else None
        if follow.best:
            restore(model.variables, follow.best, "best")
        value = _metric(model.evaluate(_pass(x, y, held_part, training), verbose=0, return_dict=True), training.metric)
        score = FoldScore(
            seed=seed,
            fold=fold,
            value=value,
            epoch=follow.best_epoch if inner_part is not None else follow.epochs,
            epochs=follow.epochs,
            train_loss=tuple(follow.losses),
            inner=tuple(follow.inner),
            train_samples=len(train_part),
            held_samples=len(held_part),
            seconds=round(time.perf_counter() - began, 3),
        )
        return score, state


@contextmanager
def forgotten_models() -> Iterator[None]:
    """Forgets every Keras model before and after: names of layers do not depend on what came before.

    What is in memory already is left out of the garbage collection that this takes, or it would cost more than the
    training of a small model.
    """
    keras.utils.clear_session(free_memory=False)
    frozen_before = gc.get_freeze_count()
    if frozen_before == 0:
        gc.freeze()
    try:
        yield
    finally:
        keras.utils.clear_session()
        if frozen_before == 0:
            gc.unfreeze()


def _pass(x: Any, y: np.ndarray, part: np.ndarray, training: Training) -> PartBatches:
    return PartBatches(x, y, part, batch_size=max(training.batch_size, _EVALUATION_BATCH))


def _inner_split(y: np.ndarray, part: np.ndarray, training: Training, fold: int) -> tuple[np.ndarray, np.ndarray]:
    kind: Literal["stratified_holdout", "holdout"] = "stratified_holdout" if training.stratify else "holdout"
    split = Split(kind=kind, validation_fraction=training.inner_fraction, random_state=fold)
    labels = y[part] if training.stratify else np.zeros(len(part), np.int64)
    [(kept, inner)] = split_indices(split, labels)
    assert inner is not None
    return part[kept], part[inner]


def _metric(logs: dict[str, Any], name: str) -> float:
    if name not in logs:
        raise ValueError(f"metric: expected one of {', '.join(sorted(logs))}. Received: metric={name!r}")
    value = float(logs[name])
    if not math.isfinite(value):
        raise FloatingPointError(f"{name} is {value} on the scored part")
    return value


def _built(
    build: Callable[..., Any], x: Any, part: np.ndarray, training: Training, *, seed: int, fold: int
) -> keras.Model:
    with _seeded(seed):
        if training.initial_weights == "build":
            keras.utils.set_random_seed(seed)
        model = build(seed) if _takes_seed(build) else build()
        if not isinstance(model, keras.Model) or not getattr(model, "compiled", False):
            raise ValueError(f"build: expected a function that returns a compiled keras.Model. Received: {model!r}")
        if not model.built:
            model(keras.tree.map_structure(keras.ops.convert_to_tensor, take(x, part[:1])))
    if training.initial_weights == "seeded":
        try:
            initialize(model, seed)
        except ValueError as error:
            expected = "initial_weights='build' for a model with weights that cannot be drawn anew"
            raise ValueError(f"build: expected {expected}. Received: {error}") from error
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for number, state in enumerate(states):
        drawn = int(generator("random state", seed, fold, number).integers(2**31))
        state.assign(np.array([drawn, 0], dtype="uint32"))
    return model


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Holds Python's and NumPy's own generators at a seed: Keras draws seeds that nobody gave from them."""
    before, numpy_before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)


def _takes_seed(build: Callable[..., Any]) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in kinds and p.default is p.empty for p in inspect.signature(build).parameters.values())


class _Follow(keras.callbacks.Callback):
    """Seeds each epoch, ends a training that diverged, and remembers the epoch that the inner split chooses."""

    def __init__(
        self, model: keras.Model, training: Training, seed: int, fold: int, start: TrainingState | None
    ) -> None:
        super().__init__()
        self._of, self._training, self._key = model, training, (seed, fold)
        self.epochs = training.initial_epoch
        self.losses: list[float] = []
        self.inner: list[float] = []
        self.best: tuple[np.ndarray, ...] = ()
        self.best_epoch = 0
        if start is not None:
            optimizer = model.optimizer
            if not optimizer.built:
                optimizer.build(model.trainable_variables)
            restore(model.variables, start.model, "model")
            restore(optimizer.variables, start.optimizer, "optimizer")
            self.best, self.best_epoch = start.best, start.facts["best_epoch"]
            self.losses, self.inner = list(start.facts["losses"]), list(start.facts["inner"])

    def state(self) -> TrainingState:
        facts = {"best_epoch": self.best_epoch, "losses": self.losses, "inner": self.inner}
        model = self._of
        return TrainingState(
            self.epochs, capture(model.variables), capture(model.optimizer.variables), self.best, facts
        )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # Keras draws dropout from PyTorch's own generator; seeded at every epoch it need not be kept between two. Not
        # at the epoch's beginning: PyTorch's data loader draws from it after that, but only in the first epoch.
        if batch == 0 and keras.backend.backend() == "torch":
            from kmodels.torch_step.randomness import seed_torch

            seed_torch(int(generator("dropout", *self._key, self.epochs).integers(2**62)))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        for name, value in logs.items():
            if np.ndim(value) == 0 and not math.isfinite(value):
                raise FloatingPointError(f"{name} is {value} after epoch {epoch + 1}")
        self.epochs = epoch + 1
        self.losses.append(float(logs["loss"]))
        if self._training.inner_fraction:
            held = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
            value, sign = _metric(held, self._training.metric), 1 if self._training.direction == "max" else -1
            if not self.best or sign * value > sign * self.inner[self.best_epoch - 1]:
                self.best, self.best_epoch = capture(self._of.variables), epoch + 1
            self.inner.append(value)
