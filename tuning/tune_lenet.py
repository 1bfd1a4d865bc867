"""Batch size, learning rate and dropout of LeNet on MNIST: does a search find what report A chose?  Row A-1.1.

    python tuning/tune_lenet.py                      # a quick search: minutes
    python tuning/tune_lenet.py --protocol report    # 20 trials on a hold-out, the best two by 10 folds: hours

The report tried three settings by hand, each by 10 folds, and says that LeNet_2 (learning rate 1e-3, batch 128, no
dropout) is best. Here 20 settings are drawn at random; the best two and LeNet_2 are compared by the same 10 folds. How
LeNet_1 and LeNet_3 do by 10 folds is row A-1.1, `experiments/ablation_batch_size.py`.
"""

from typing import Any

from kmodels import Split
from kmodels.recipes import LENET_A
from kmodels.tuner.study import Study, main


def space(hp: Any) -> dict[str, Any]:
    return {
        "batch_size": hp.Choice("batch_size", [32, 64, 128, 256, 512]),
        "learning_rate": hp.Choice("learning_rate", [2e-4, 5e-4, 1e-3, 2e-3, 5e-3]),
        "dropout": hp.Choice("dropout", [0.0, 0.2, 0.5]),
    }


REPORT = {"LeNet_2": {"learning_rate": 1e-3, "batch_size": 128, "dropout": 0.0}}
HOLD_OUT = Split(kind="stratified_holdout", validation_fraction=1 / 6)

STUDY = Study(
    name="A-lenet",
    question="LeNet on MNIST, 10 epochs: batch size, learning rate, dropout",
    base=LENET_A.change(epochs=10, split=HOLD_OUT),
    space=space,
    options={"max_trials": 20},
    split=LENET_A.split,
    top=2,
    further=REPORT,
    quick={"split": Split(kind="stratified_holdout", validation_fraction=0.05), "epochs": 2, "train_images": 13_000},
    quick_options={"max_trials": 5},
    quick_split=Split(kind="stratified_holdout", validation_fraction=0.05, random_state=1),
)

if __name__ == "__main__":
    main(STUDY)
