"""Runs made by hand on MNIST's true labels, an experiment that asks for them, and ways to forge them."""

import dataclasses
from pathlib import Path

import numpy as np

from kmodels.data.labels import labels_of
from kmodels.data.splits import split_indices
from kmodels.results.predictions import Predictions
from kmodels.results.runs import REVISION, Run, run_key
from kmodels.spec.claims import Claim, Reported, Row
from kmodels.spec.declarations import Script
from kmodels.spec.experiment import Experiment, Recipe, Split
from kmodels.stats.scoring import scores_on_test

MNIST = labels_of("mnist")
BASE = Recipe(
    model="lenet",
    model_args={"dropout": 0.0},
    dataset="mnist",
    split=Split(kind="batches"),
    epochs=2,
    batch_size=128,
    learning_rate=1e-3,
)
FOLDS = BASE.change(split=Split(kind="kfold", folds=2))
ON_TEST = BASE.change(split=Split(kind="test"))
EXPERIMENT = Experiment(
    name="X-one",
    question="Is it so?",
    base=BASE,
    cells={"plain": {}, "dropout": {"dropout": 0.5}},
    repaired={"mended": {"head": "softmax"}},
    rows=[
        Row("X-1.1", "plain", Reported(0.9, 0.05)),
        Row("X-1.2", "dropout", Reported(0.5, 0.005), "test_accuracy"),
        Row("X-1.2", "plain", None, "test_nll"),
    ],
    claims=[Claim(text="X-1.2: dropout is worse", best=["plain", "dropout"])],
)
SCRIPTS = (Script(Path("experiments/ablation_x.py"), "Is it so?", (EXPERIMENT,)),)


def guesses(labels, right, seed):
    """Classes of which a share is right, and the probabilities that were given, in steps."""
    random = np.random.default_rng(seed)
    hit = random.random(len(labels)) < right
    classes = np.where(hit, labels, (labels + 1) % 10).astype("uint8")
    confidence = random.integers(40_000, 65_536, len(labels)).astype("uint16")
    true = np.where(hit, confidence, 65_535 - confidence.astype(int)).astype("uint16")
    return classes, true, confidence


def make(recipe=BASE, seed=0, fold=0, right=0.9, **changes):
    held = split_indices(recipe.split, MNIST.train)[fold][1]
    classes, true, confidence = guesses(MNIST.test, right, seed)
    folds = recipe.split.folds > 1
    predictions = Predictions(classes) if folds else Predictions(classes, true, confidence)
    scores = {"train_loss": 0.3, "train_accuracy": 0.9, "validation_loss": 0.4}
    if held is None:
        validation = None
        scores["validation_accuracy"] = float(np.mean(classes == MNIST.test))
    else:
        validation = guesses(MNIST.train[held], right, seed)[0]
        scores["validation_accuracy"] = float(np.mean(validation == MNIST.train[held]))
    asked = {"seed": seed, "fold": fold, "backend": "torch", "revision": REVISION}
    values = {
        "key": run_key(recipe, data_digest=MNIST.digest, **asked),
        "experiment": "X-one",
        "cell": "plain",
        "protocol": "report",
        "recipe": recipe.as_dict(),
        "data": {"name": "mnist", "digest": MNIST.digest, "source": "by hand", "test_images": 10_000},
        "scores": {**scores, **scores_on_test(predictions, MNIST.test)},
        "curves": {"loss": [1.0, 0.3], "accuracy": [0.5, 0.9], "val_loss": [0.9, 0.4], "val_accuracy": [0.5, 0.9]},
        "predictions": predictions,
        "validation_classes": validation,
        **asked,
    }
    return Run(**{**values, **changes})


def rescored(run, **scores):
    return dataclasses.replace(run, scores={**run.scores, **scores})


def with_further(recipe=BASE):
    """A run that was tested in other ways too: by drawing, and as an ensemble's vote."""
    run = make(recipe)
    held = split_indices(recipe.split, MNIST.train)[0][1]
    further = {
        "test_accuracy_sampled": guesses(MNIST.test, 0.8, 11)[0],
        "majority_test_accuracy": guesses(MNIST.test, 0.7, 12)[0],
    }
    scores = {name: float(np.mean(classes == MNIST.test)) for name, classes in further.items()}
    if held is None:
        scores["majority_validation_accuracy"] = scores["majority_test_accuracy"]
    else:
        validated = guesses(MNIST.train[held], 0.6, 13)[0]
        further["majority_validation_accuracy"] = validated
        scores["majority_validation_accuracy"] = float(np.mean(validated == MNIST.train[held]))
    predictions = dataclasses.replace(run.predictions, further=further)
    return rescored(dataclasses.replace(run, predictions=predictions), **scores)
