"""Adam or SGD with momentum, and at which rate?  Reports B-3.1 … B-3.4.

    python experiments/ablation_optimizer.py                      # what is known; too slow for a quick run
    python experiments/ablation_optimizer.py --protocol report    # as the report trained it: 3 seeds, many hours
    python experiments/ablation_optimizer.py --report             # table and figures from results, no training

The report's protocol has not been run yet.
"""

from kmodels import Claim, Experiment, Reported, Row, main
from kmodels.recipe import Schedule
from kmodels.recipes import VGG16_B, VGG16_B_ASSUMED

_SGD = {"optimizer": "sgd", "momentum": 0.9}

VGG16 = Experiment(
    name="B-optimizer",
    question="Adam and SGD with momentum, constant or in steps, VGG-16, CIFAR-10, 50 epochs",
    base=VGG16_B,
    cells={
        "Adam 0.001, constant": {"learning_rate": 1e-3, "schedule": Schedule()},
        "Adam 0.01, steps": {"learning_rate": 1e-2},
        "SGD 0.001, constant": {**_SGD, "learning_rate": 1e-3, "schedule": Schedule()},
        "SGD 0.01, steps": {**_SGD, "learning_rate": 1e-2},
    },
    repaired={"SGD 0.01, constant": {**_SGD, "learning_rate": 1e-2, "schedule": Schedule()}},
    rows=[
        Row("B-3.1", "Adam 0.001, constant", Reported(0.8605, 0.00005), "test_accuracy"),
        Row("B-3.2", "Adam 0.01, steps", Reported(0.8706, 0.00005), "test_accuracy"),
        Row("B-3.3", "SGD 0.001, constant", Reported(0.7789, 0.00005), "test_accuracy"),
        Row("B-3.4", "SGD 0.01, steps", Reported(0.8621, 0.00005), "test_accuracy"),
    ],
    claims=[
        Claim(
            text="B-3: Adam is better than SGD with momentum at a constant 0.001",
            measure="test_accuracy",
            best=["Adam 0.001, constant", "SGD 0.001, constant"],
        ),
        Claim(
            text="B-3: Adam is fast early: its loss falls faster at a constant 0.001",
            measure="mean_train_loss",
            best=["Adam 0.001, constant", "SGD 0.001, constant"],
        ),
        Claim(
            text="B-3: SGD with momentum is better with 0.01 in steps than with a constant 0.001",
            measure="test_accuracy",
            best=["SGD 0.01, steps", "SGD 0.001, constant"],
        ),
        Claim(
            text="B-3: SGD with momentum profits from steps (asked at one rate)",
            measure="test_accuracy",
            best=["SGD 0.01, steps", "SGD 0.01, constant"],
        ),
    ],
    assumptions=[
        *VGG16_B_ASSUMED,
        "Momentum is not stated: 0.9. “Step” is the schedule of the other rows, times 0.1 after 20, 30 and 40 epochs.",
        "The report changes rate and schedule together; the cell in between has the larger rate without steps.",
    ],
)

if __name__ == "__main__":
    main(VGG16)
