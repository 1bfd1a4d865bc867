"""How should ResNet shrink its maps, and what belongs before its dense layer?  Reports B-5.1, B-5.2.

    python experiments/ablation_head.py                      # what is known; too slow for a quick run
    python experiments/ablation_head.py --protocol report    # as the report trained it: 3 seeds, hours
    python experiments/ablation_head.py --report             # table and figures from results, no training

The report's protocol has not been run yet.
"""

from kmodels import Claim, Experiment, Reported, Row, main
from kmodels.recipes import VGG16_B, VGG16_B_ASSUMED

RESNET18 = Experiment(
    name="B-head",
    question="Down-sampling and last pooling of ResNet-18, CIFAR-10, Adam 0.005 in steps, 50 epochs",
    base=VGG16_B.change(model="resnet18"),
    cells={
        "strides, global pooling": {},
        "pooling 32-16-8-4-2": {"model": "resnet18_pooled"},
        "strides, no global pooling": {"model": "resnet18_flatten"},
    },
    rows=[
        Row("B-5.1", "pooling 32-16-8-4-2", Reported(0.76, 0.005, "at most"), "test_accuracy"),
        Row("B-5.2", "strides, no global pooling", Reported(0.83, 0.005, "at most"), "test_accuracy"),
    ],
    claims=[
        Claim(
            text="B-5: strides and global pooling are best, no global pooling next",
            measure="test_accuracy",
            order=["strides, global pooling", "strides, no global pooling", "pooling 32-16-8-4-2"],
        ),
        Claim(
            text="B-5.1: with down-sampling by pooling it over-fits more",
            measure="accuracy_gap",
            best=["strides, global pooling", "pooling 32-16-8-4-2"],
        ),
    ],
    assumptions=[
        *VGG16_B_ASSUMED[1:],
        "Depth, optimizer and rate are not stated: those of row B-1.2 are assumed.",
        "Down-sampling “by adaptive pooling 32-16-8-4-2” is read as 2x2 average pooling after every stage, no strides; "
        "“no global pooling” as a dense layer on the flattened maps.",
        "The ceilings are bounds to the nearest percent.",
    ],
)

if __name__ == "__main__":
    main(RESNET18)
