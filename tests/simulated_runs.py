"""Runs made by hand: no training, known numbers."""

import numpy as np

from kmodels.results.runs import Run
from kmodels.spec.claims import Claim, Reported, Row
from kmodels.spec.experiment import Experiment, Recipe, Split, grid

BASE = Recipe(
    model="lenet",
    model_args={"dropout": 0.0},
    head="softmax",
    dataset="mnist",
    image_size=32,
    split=Split(kind="kfold", folds=2),
    epochs=30,
    batch_size=128,
    learning_rate=5e-4,
)

EXPERIMENT = Experiment(
    name="A-dropout",
    question="Dropout after LeNet's first dense layer",
    base=BASE,
    cells=grid(dropout=[0.0, 0.2, 0.5]),
    repaired={"dropout=0.0, head=logits": {"head": "logits"}},
    rows=[
        Row("A-1", "dropout=0.0", Reported(0.9832, 0.00005)),
        Row("A-2", "dropout=0.2"),
        Row("A-3", "dropout=0.5", Reported(0.8, 0.0, "at least")),
    ],
    claims=[Claim(text="A: no dropout is best", best=["dropout=0.0", "dropout=0.2", "dropout=0.5"])],
    quick={"epochs": 4},
    assumptions=["MNIST comes to 32x32 by zero padding"],
)


def run(cell="dropout=0.0", seed=0, fold=0, *, epochs=5, **scores):
    """Returns a run with the given scores and curves that end at them."""
    scores = {"validation_accuracy": 0.9, "validation_loss": 0.3, **scores}
    rise = np.linspace(0.2, 1.0, epochs)
    return Run(
        key=f"{seed}-{fold}",
        experiment="A-dropout",
        cell=cell,
        protocol="report",
        recipe=BASE.as_dict(),
        seed=seed,
        fold=fold,
        data={"name": "mnist", "source": "npz", "train_images": 54000, "validation_images": 6000},
        scores=scores,
        curves={
            "loss": list(1 - 0.9 * rise),
            "val_loss": list(1 - 0.8 * rise),
            "accuracy": list(scores["validation_accuracy"] * rise),
            "val_accuracy": list(scores["validation_accuracy"] * rise),
        },
        seconds={"build": 1.0, "fit": 59.0},
        device="Example CPU",
        threads=2,
        backend="torch",
        versions={"keras": "3.15.1", "torch": "2.13.0"},
        commit="0123456789abcdef",
    )


def seeds(values, cell="dropout=0.0", measure="validation_accuracy"):
    """Returns a cell's runs: one entry a seed, a number or a sequence of one number a fold."""
    return {
        (seed, fold): run(cell, seed, fold, **{measure: float(value)})
        for seed, folds in enumerate(values)
        for fold, value in enumerate(np.atleast_1d(folds))
    }
