"""Searches small enough to be run hundreds of times, and a process to be killed in the middle of one."""

import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

from kmodels import tuner
from kmodels.crossval import validate
from kmodels.crossval.result import FoldScore

KINDS = ("RandomSearch", "BayesianOptimization", "Hyperband", "GridSearch")


def digits(samples=120):
    images, labels = load_digits(return_X_y=True)
    return (images[:samples] / 16.0).astype("float32"), labels[:samples].astype("int64")


def build(hp):
    """Dropout, momentum and a schedule, so that all of a training's state counts."""
    units = hp.Choice("units", [4, 8, 16])
    rate = keras.optimizers.schedules.CosineDecay(hp.Choice("rate", [0.05, 0.2, 0.8]), decay_steps=60)
    dropout = keras.layers.Dropout(0.2)
    layers = [keras.Input((64,)), keras.layers.Dense(units, activation="relu"), dropout, keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model


def make(kind, directory, build=build, **changes):
    own = {
        "RandomSearch": {"max_trials": 4},
        "BayesianOptimization": {"max_trials": 5, "num_initial_points": 3},
        "Hyperband": {"max_epochs": 4, "factor": 2},
        "GridSearch": {},
    }[kind]
    arguments = {"folds": 2, "seed": 3, "directory": str(directory), "project_name": kind, **own, **changes}
    return getattr(tuner, kind)(build, "accuracy", **arguments)


def run(kind, directory, **changes):
    x, y = digits()
    epochs = {} if kind == "Hyperband" else {"epochs": 2}
    return make(kind, directory, **changes).search(x, y, batch_size=16, verbose=False, **epochs)


def told(search):
    """Everything of a search but its times."""
    return [
        (t.name, t.rank, dict(t.hyperparameters), t.status, t.mean, t.fold_sd, dict(t.values), t.epochs)
        for t in search.trials
    ]


def pretend_build(hp):
    """A number instead of a model; with a hyper-parameter that depends on another, and one found only on the way."""
    a = hp.Choice("a", [0.1, 0.2, 0.3])
    b = hp.Boolean("b")
    with hp.conditional_scope("b", [True]):
        c = hp.Choice("c", [1, 2]) if b else 0
    return a + 0.01 * b + 0.001 * c


def pretend_train(build, x, y, parts, training, *, seed, fold, keep_state=False, **_):
    """Stands in for training: the score is a function of hyper-parameters, seed, fold and epochs."""
    from kmodels.training.state import TrainingState

    value = build() + 1e-4 * np.log(training.epochs) + 1e-6 * seed + 1e-5 * fold
    score = FoldScore(
        seed=seed, fold=fold, value=float(value), epoch=training.epochs, epochs=training.epochs, train_loss=(0.0,),
        train_samples=1, held_samples=1, seconds=0.0,
    )  # fmt: skip
    return score, TrainingState(training.epochs, (), ()) if keep_state else None


def without_training(monkeypatch):
    """No training and no waiting for the disk: what is tested is the search."""
    monkeypatch.setattr(validate, "train_fold", pretend_train)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr("kmodels.tuner.trial.forgotten_models", nullcontext)


def kill_at_write(number):
    """Makes this process kill itself as with `kill -9` when a file is to be replaced for the `number`th time."""
    replace, left = Path.replace, [number]

    def killing(self, target):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = killing


if __name__ == "__main__":
    kill_at_write(int(sys.argv[3]))
    run(sys.argv[1], sys.argv[2])
