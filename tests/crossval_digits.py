"""Cross-validations of a second: digits as rows of 64 numbers, dense networks for them, and scores made by hand."""

import keras
from sklearn.datasets import load_digits

from kmodels.crossval.plan import plan
from kmodels.crossval.result import FoldScore


def digits(samples=200):
    images, labels = load_digits(return_X_y=True)
    return (images[:samples] / 16.0).astype("float32"), labels[:samples].astype("int64")


def compiled(model, optimizer="adam"):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def dense(optimizer=None, dropout=0.0):
    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.Dropout(dropout), keras.layers.Dense(10)]
    return compiled(keras.Sequential([keras.Input((64,)), *layers]), optimizer or keras.optimizers.Adam(0.01))


def scheduled():
    """Momentum, a schedule and dropout: what is lost when only weights are kept."""
    schedule = keras.optimizers.schedules.CosineDecay(0.5, decay_steps=60)
    return dense(keras.optimizers.SGD(schedule, momentum=0.9), dropout=0.5)


def planned(x, y, **changes):
    arguments = {
        "folds": 2,
        "seeds": 1,
        "epochs": 2,
        "batch_size": 16,
        "metric": "accuracy",
        "direction": None,
        "validation_fraction": 0.2,
        "inner_fraction": 0.0,
        "stratify": True,
        "split_seed": 0,
        "initial_weights": "seeded",
    }
    return plan(x, y, **{**arguments, **changes})


def without_seconds(found):
    return [{**score.as_dict(), "seconds": None} for score in found.scores]


def score(seed, fold, value):
    return FoldScore(
        seed=seed, fold=fold, value=value, epoch=1, epochs=1, train_loss=(1.0,), train_samples=1, held_samples=1,
        seconds=0.0,
    )  # fmt: skip
