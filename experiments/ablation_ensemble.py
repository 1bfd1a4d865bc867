"""Is the average of two networks better than either, and must they be trained together?  Report A-3.3.

    python experiments/ablation_ensemble.py                      # what is known; too slow for a quick run
    python experiments/ablation_ensemble.py --protocol report    # as the report trained it: 3 seeds, many hours
    python experiments/ablation_ensemble.py --report             # table and figures from results, no training

The report trains AlexNet and ResNet-18 jointly, through the mean of their outputs. Beside it stand the same two trained
apart and combined afterwards: by the mean of their logits, the mean of their probabilities, and a vote.
The report's protocol has not been run yet.
"""

from kmodels import Claim, Experiment, Row, Split, main
from kmodels.recipes import ALEXNET_A, ALEXNET_A_ASSUMED

_MEMBERS = {"members": ("alexnet", "resnet18_a"), "rule": "mean_logits"}
_OWN = {"split": Split(kind="holdout", validation_fraction=0.1)}

A = Experiment(
    name="A-ensemble",
    question="ResNet-18, AlexNet and their average, CIFAR-10, K-fold off, 15 epochs",
    base=ALEXNET_A.change(dataset="cifar10"),
    cells={
        "ResNet-18": {"model": "resnet18_a", "model_args": {}},
        "AlexNet": {},
        "AverageNet": {"model": "average_net", "model_args": _MEMBERS},
    },
    repaired={
        "AverageNet, members trained apart": {
            "model": "average_net",
            "model_args": _MEMBERS,
            "train_members": "apart",
        },
        "ResNet-18, own validation images": {"model": "resnet18_a", "model_args": {}, **_OWN},
        "AlexNet, own validation images": _OWN,
        "AverageNet, own validation images": {"model": "average_net", "model_args": _MEMBERS, **_OWN},
    },
    rows=[
        *(
            Row("A-3.3", cell, measure=measure)
            for measure in ("validation_accuracy", "best_validation_accuracy", "validation_loss")
            for cell in ("ResNet-18", "AlexNet", "AverageNet")
        ),
        *(
            Row("A-3.3", "AverageNet, members trained apart", measure=measure)
            for measure in (
                "validation_accuracy",
                "mean_probabilities_validation_accuracy",
                "majority_validation_accuracy",
                "validation_loss",
            )
        ),
    ],
    claims=[
        Claim(text="A-3.3: ResNet-18 is better than AlexNet", best=["ResNet-18", "AlexNet"]),
        Claim(text="A-3.3: AverageNet is better than AlexNet", best=["AverageNet", "AlexNet"]),
        Claim(
            text="A-3.3: ResNet-18 and AverageNet are close (within 1 point)",
            equal=["AverageNet", "ResNet-18"],
            margin=0.01,
        ),
        Claim(
            text="A-3.3: the ensemble reaches the better validation result (said of several epochs, asked of the best)",
            measure="best_validation_accuracy",
            best=["AverageNet", "ResNet-18"],
        ),
        Claim(
            text="Repaired: validated on images of their own, ResNet-18 and AverageNet test close (within 1 point)",
            measure="test_accuracy",
            equal=["AverageNet, own validation images", "ResNet-18, own validation images"],
            margin=0.01,
        ),
        Claim(
            text="Repaired: validated on images of its own, AverageNet tests better than AlexNet",
            measure="test_accuracy",
            best=["AverageNet, own validation images", "AlexNet, own validation images"],
        ),
        Claim(
            text="Beyond A-3.3: members trained apart and averaged are better than trained through their mean",
            best=["AverageNet, members trained apart", "AverageNet"],
        ),
        Claim(
            text="Beyond A-3.3: averaged, members trained apart are better than the better of them alone",
            best=["AverageNet, members trained apart", "ResNet-18", "AlexNet"],
        ),
    ],
    assumptions=[
        *ALEXNET_A_ASSUMED,
        "Epochs, rate and batch size are not stated: the runner's 15, 1e-3 and 256; dropout 0.5 in AlexNet.",
        "ResNet-18's image size, global pooling and initial weights are not printed: 224x224 and zero padding as for "
        "AlexNet, average pooling, PyTorch's defaults.",
        "“Close” is read as within 1 point. A combination is of the last epoch: members trained apart have no epoch of "
        "the ensemble, so no best one.",
        "Where a network has validation images of its own, they are a tenth of the training images.",
    ],
)

if __name__ == "__main__":
    main(A)
