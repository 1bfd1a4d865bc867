"""Optimizer, learning rate and schedule of VGG16 on CIFAR-10: report B's tables B-1 and B-3, searched.

    python tuning/tune_vgg.py                        # a quick search with VGG11 and few images: minutes
    python tuning/tune_vgg.py --protocol report      # 24 trials of 50 epochs on a hold-out: days without a GPU

The report's settings were chosen by their test accuracy; here they are compared by folds of the training images.
"""

from typing import Any

from kmodels import Recipe, Split
from kmodels.spec.recipe import Schedule
from kmodels.tuner.study import Study, main

HOLD_OUT = Split(kind="stratified_holdout", validation_fraction=0.1)
EPOCHS = 50
SCHEDULES = {
    "constant": Schedule(),
    "multistep": Schedule(kind="multistep", milestones=(20, 30, 40), gamma=0.1),
    "cosine": Schedule(kind="cosine"),
}


def space(hp: Any) -> dict[str, Any]:
    optimizer = hp.Choice("optimizer", ["adam", "sgd"])
    return {
        "optimizer": optimizer,
        "momentum": 0.9 if optimizer == "sgd" else 0.0,
        "learning_rate": hp.Choice("learning_rate", [3e-4, 1e-3, 3e-3, 1e-2, 3e-2]),
        "schedule": SCHEDULES[hp.Choice("schedule", list(SCHEDULES))],
    }


STUDY = Study(
    name="B-vgg16",
    question="VGG16 with batch normalisation on CIFAR-10: optimizer, learning rate, schedule",
    base=Recipe(model="vgg16_bn", dataset="cifar10", split=HOLD_OUT, epochs=EPOCHS, batch_size=256, learning_rate=5e-3),
    space=space,
    options={"max_trials": 24},
    split=Split(kind="stratified_kfold", folds=5),
    further={
        "B-3.1": {"learning_rate": 1e-3},
        "B-1.1": {"learning_rate": 5e-3, "schedule": SCHEDULES["multistep"]},
        "B-3.3": {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-3},
    },
    quick={
        "split": Split(kind="stratified_holdout", validation_fraction=0.02),
        "model": "vgg11_bn",
        "train_images": 1_200,
        "epochs": 2,
        "batch_size": 64,
    },
    quick_options={"max_trials": 2},
    quick_split=Split(kind="stratified_holdout", validation_fraction=0.02, random_state=1),
)

if __name__ == "__main__":
    main(STUDY)
