"""Decay, dropout, stem and blocks of ResNet-18 on CIFAR-10: report E's table of single parameters, searched.

    python tuning/tune_resnet.py                     # a quick search with few images and ResNet-20: minutes
    python tuning/tune_resnet.py --protocol report   # 20 trials of 30 epochs on batch 5: days without a GPU

The report varies one parameter at a time from a base that it had chosen; here all are drawn together.
"""

from typing import Any

from kmodels import Recipe, Split
from kmodels.spec.recipe import Schedule
from kmodels.tuner.study import Study, main

HOLD_OUT = Split(kind="batches")
NETWORKS = ("resnet18_e", "resnet18_e_no_stem_bn", "resnet18_e_large_stem", "resnet26_e")


def space(hp: Any) -> dict[str, Any]:
    return {"model": hp.Choice("network", list(NETWORKS)), **training(hp)}


def training(hp: Any) -> dict[str, Any]:
    return {
        "schedule": Schedule(kind="exponential", gamma=hp.Choice("decay", [1.0, 0.95, 0.9, 0.7, 0.45])),
        "dropout": hp.Choice("dropout", [0.0, 0.2, 0.4, 0.8]),
        "learning_rate": hp.Choice("learning_rate", [3e-4, 1e-3, 3e-3]),
    }


def decay(gamma: float) -> dict[str, Any]:
    return {"schedule": Schedule(kind="exponential", gamma=gamma)}


STUDY = Study(
    name="E-resnet18",
    question="ResNet-18 on CIFAR-10, 30 epochs: stem, blocks, learning-rate decay, dropout, learning rate",
    base=Recipe(
        model="resnet18_e",
        model_args={"dropout": 0.0},
        head="softmax",
        dataset="cifar10",
        split=HOLD_OUT,
        normalization="report_e",
        crop_padding=4,
        flip=True,
        epochs=30,
        batch_size=512,
        learning_rate=1e-3,
    ),
    space=space,
    options={"max_trials": 20},
    split=Split(kind="stratified_kfold", folds=5),
    further={"E-T2": decay(0.9), "E-T1": decay(1.0), "E-T3": decay(0.45), "E-T5": {**decay(0.9), "dropout": 0.4}},
    quick={
        "split": Split(kind="stratified_holdout", validation_fraction=0.02),
        "model": "resnet20",
        "head": "logits",
        "train_images": 2_000,
        "epochs": 3,
        "batch_size": 64,
    },
    quick_space=training,
    quick_options={"max_trials": 2},
    quick_split=Split(kind="stratified_holdout", validation_fraction=0.02, random_state=1),
)

if __name__ == "__main__":
    main(STUDY)
