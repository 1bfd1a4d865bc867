"""An experiment small enough for a test: LeNet on scikit-learn's digits, two folds, a few steps."""

from kmodels.spec.claims import Claim, Row
from kmodels.spec.experiment import Experiment, Recipe, Split, grid
from kmodels.spec.tasks import Task

BASE = Recipe(
    model="lenet",
    model_args={"dropout": 0.0},
    dataset="digits",
    split=Split(kind="kfold", folds=2),
    train_images=96,
    image_size=16,
    resize="bilinear",
    epochs=2,
    batch_size=32,
    learning_rate=2e-3,
)

TINY = Experiment(
    name="A-tiny",
    question="Does it run?",
    base=BASE,
    cells=grid(dropout=[0.0, 0.5]),
    rows=[Row("A-1.2", "dropout=0.0")],
    claims=[Claim(text="A: no dropout is best", best=["dropout=0.0", "dropout=0.5"])],
    quick={"epochs": 1},
)


def task(seed=0, fold=0, **changes):
    return Task(experiment="A-tiny", cell="c", protocol="quick", recipe=BASE.change(**changes), seed=seed, fold=fold)


def run_files(folder):
    """The files of all runs in a results folder."""
    return sorted(folder.glob("**/[0-9a-f]*.json"))
