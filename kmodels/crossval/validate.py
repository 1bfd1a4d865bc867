"""K-fold cross-validation of a Keras model: plain arrays in, every fold's value out, nothing lost when it is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from kmodels.checks import require
from kmodels.crossval.fold import train_fold
from kmodels.crossval.folder import finish_folds
from kmodels.crossval.plan import Plan, plan
from kmodels.crossval.result import CrossValidation, FoldScore
from kmodels.training.state import read_state, write_state

__all__ = ["carry_out", "cross_validate"]

Callbacks = Callable[[int, int], Sequence[keras.callbacks.Callback]]


def cross_validate(
    build: Callable[..., Any],
    x: Any,
    y: np.ndarray,
    *,
    folds: int = 5,
    seeds: int | Sequence[int] = 1,
    epochs: int,
    batch_size: int,
    metric: str = "accuracy",
    direction: Literal["max", "min"] | None = None,
    validation_fraction: float = 0.2,
    inner_fraction: float = 0.0,
    stratify: bool = True,
    split_seed: int = 0,
    initial_weights: Literal["seeded", "build"] = "seeded",
    folder: str | Path | None = None,
    identity: str = "",
    callbacks: Callbacks | None = None,
) -> CrossValidation:
    """Trains a model on all folds but one and scores it on that one, for every fold and seed.

    A fold is scored once, with the weights of the last epoch or of the epoch that an inner split of the training part
    chose; the best epoch of the scored part itself would flatter. Initial weights, data order and the division are the
    same bytes on every backend, so one seed gives one number.

    Args:
        build: `build()` or `build(seed)`, returns a new compiled `keras.Model` at each call.
        x: training samples: an array of shape `(samples, ...)`, or a nest of such arrays for several inputs. Keep the
            test samples out of it.
        y: targets, of shape `(samples, ...)`.
        folds: number of parts K, each scored once; 1 for a single hold-out of `validation_fraction`.
        seeds: how many seeds, counted from 0, or the seeds themselves.
        epochs: passes over the training part, 1 or more.
        batch_size: samples a step, 1 or more.
        metric: what is scored: a name that the model's `evaluate(return_dict=True)` gives, such as `accuracy` or
            `loss`.
        direction: whether a larger (`max`) or a smaller value (`min`) is better, which only an inner split needs; by
            default `min` for losses and errors, `max` for accuracies and AUC.
        validation_fraction: share held out where `folds` is 1, in (0, 1).
        inner_fraction: share of each training part, in [0, 1), that is not trained on and chooses the epoch; 0 for the
            last epoch.
        stratify: keep the classes' shares in all parts; needs integer labels of shape `(samples,)`.
        split_seed: seed of the division, the same for all seeds.
        initial_weights: `seeded` draws every weight anew with its layer's own initializer, the same on every backend;
            `build` keeps what `build` made, for pretrained weights or initializers of your own.
        folder: where finished folds are kept. Called again with the same arguments, they are read instead of trained.
        identity: text that tells apart what only `build` knows, such as its hyper-parameters; it goes into the names of
            the files. The code of `build` does not: use another folder when you change it.
        callbacks: called with seed and fold for every training, returns new Keras callbacks.

    Returns:
        Every fold's value, their mean and standard deviation.

    Raises:
        ValueError: an argument is outside its range; the message names it.
        FoldFailed: a training failed; its `__cause__` is why, and finished folds are kept.
        OSError: the folder cannot be written to.

    Example:
        >>> import keras, numpy as np
        >>> def build():
        ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        ...     loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ...     model.compile(keras.optimizers.SGD(0.5), loss, metrics=["accuracy"])
        ...     return model
        >>> y = np.arange(40) % 2
        >>> x = np.stack([y, 1 - y], axis=1).astype("float32")
        >>> found = cross_validate(build, x, y, folds=4, seeds=2, epochs=8, batch_size=2)
        >>> len(found.scores), found.mean
        (8, 1.0)
    """
    planned = plan(
        x,
        y,
        folds=folds,
        seeds=seeds,
        epochs=epochs,
        batch_size=batch_size,
        metric=metric,
        direction=direction,
        validation_fraction=validation_fraction,
        inner_fraction=inner_fraction,
        stratify=stratify,
        split_seed=split_seed,
        initial_weights=initial_weights,
    )
    home = None if folder is None else Path(folder)
    return carry_out(planned, build, x, y, folder=home, identity=identity, callbacks=callbacks)


def carry_out(
    planned: Plan,
    build: Callable[..., Any],
    x: Any,
    y: np.ndarray,
    *,
    folder: Path | None = None,
    identity: str = "",
    callbacks: Callbacks | None = None,
    keep_states: bool = False,
    go_on_from: Path | None = None,
    on_fold: Callable[[FoldScore], None] | None = None,
) -> CrossValidation:
    """Trains what a plan has and the folder has not.

    Args:
        planned: what `plan` made of the same x and y.
        build: as for `cross_validate`.
        x: as there.
        y: as there.
        folder: as there.
        identity: as there.
        callbacks: as there.
        keep_states: write each training's state beside its score, for a later call with more epochs.
        go_on_from: folder of an earlier call that kept its states at `planned.training.initial_epoch`.
        on_fold: called after each fold, also one that was read.

    Raises:
        ValueError: states are to be kept without a folder, or there is none to go on from.
        FoldFailed: a training failed.
        OSError: a file cannot be written.
    """
    require(not (keep_states and folder is None), "folder", "a folder, where states are kept", folder)

    def train(seed: int, fold: int, name: str) -> FoldScore:
        start = None
        if go_on_from is not None:
            begun = planned.name(seed, fold, identity, epochs=planned.training.initial_epoch)
            start = read_state(_state_file(go_on_from, begun))
        score, state = train_fold(
            build,
            x,
            y,
            planned.parts[fold],
            planned.training,
            seed=seed,
            fold=fold,
            start=start,
            keep_state=keep_states,
            callbacks=callbacks(seed, fold) if callbacks else (),
        )
        if state is not None:  # before the score, which says that the fold is done
            write_state(_state_file(folder, name), state)
        return score

    numbered = ((seed, fold) for seed in planned.seeds for fold in range(len(planned.parts)))
    return finish_folds(
        ((seed, fold, planned.name(seed, fold, identity)) for seed, fold in numbered),
        train,
        metric=planned.training.metric,
        folder=folder,
        whole=lambda name: not keep_states or _state_file(folder, name).exists(),
        on_fold=on_fold,
    )


def _state_file(folder: Path | None, name: str) -> Path:
    assert folder is not None
    return folder / f"{name}.state.npz"
