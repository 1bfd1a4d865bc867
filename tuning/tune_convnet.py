"""Optimizer, learning rate and schedule of report C's network on MNIST: rows C-1 to C-6, searched.

    python tuning/tune_convnet.py                    # a quick search with few images: minutes
    python tuning/tune_convnet.py --protocol report  # 15 trials of 64 epochs, the best three by 5 folds: days

The report compares a handful of optimizers and schedules, each with settings of its own, by their test accuracy.
"""

from typing import Any

from kmodels import Recipe, Split
from kmodels.spec.recipe import Schedule
from kmodels.tuner.study import Study, main

SCHEDULES = {
    "constant": Schedule(),
    "step": Schedule(kind="step", step_epochs=2, gamma=0.9),
    "cosine": Schedule(kind="cosine"),
}


def space(hp: Any) -> dict[str, Any]:
    optimizer = hp.Choice("optimizer", ["adam", "nadam", "sgd"])
    return {
        "optimizer": optimizer,
        "momentum": 0.9 if optimizer == "sgd" else 0.0,
        "learning_rate": hp.Choice("learning_rate", [1e-4, 3e-4, 1e-3, 1e-2]),
        "schedule": SCHEDULES[hp.Choice("schedule", list(SCHEDULES))],
    }


STUDY = Study(
    name="C-convnet",
    question="Report C's network on MNIST: optimizer, learning rate, schedule",
    base=Recipe(
        model="convnet",
        head="softmax",
        dataset="mnist",
        split=Split(kind="holdout", validation_fraction=0.167),
        epochs=64,
        batch_size=16,
        drop_last=True,
        learning_rate=3e-4,
        l2=1e-5,
        clip_norm=10.0,
    ),
    space=space,
    options={"max_trials": 15},
    split=Split(kind="stratified_kfold", folds=5),
    further={
        "C-1": {},
        "C-2": {"schedule": SCHEDULES["step"]},
        "C-5": {"optimizer": "sgd", "momentum": 1e-5},
    },
    quick={
        "split": Split(kind="stratified_holdout", validation_fraction=0.02),
        "train_images": 1_500,
        "epochs": 2,
        "batch_size": 32,
        "head": "logits",
    },
    quick_options={"max_trials": 3},
    quick_split=Split(kind="stratified_holdout", validation_fraction=0.02, random_state=1),
)

if __name__ == "__main__":
    main(STUDY)
