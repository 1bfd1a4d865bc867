"""Is a small first kernel better, and is it the size or the stride?  Reports E-T9, E-T10.

    python experiments/ablation_kernel.py                      # what is known; too slow for a quick run
    python experiments/ablation_kernel.py --protocol report    # as the report trained it: 3 seeds, hours
    python experiments/ablation_kernel.py --report             # table and figures from results, no training

The report changes size and stride together (3x3/1 to 7x7/2) and names the size as the reason. The two cells between
them, 7x7/1 and 3x3/2, tell the two apart.
The report's protocol has not been run yet.
"""

from kmodels import Claim, Experiment, Reported, Row, main
from kmodels.recipes import RESNET18_E, RESNET18_E_ASSUMED

RESNET18 = Experiment(
    name="E-kernel",
    question="Kernel and stride of the stem of ResNet-18, CIFAR-10, 30 epochs",
    base=RESNET18_E,
    cells={
        "3x3, stride 1": {"stem_kernel": 3, "stem_stride": 1},
        "7x7, stride 2": {"stem_kernel": 7, "stem_stride": 2},
    },
    repaired={
        "7x7, stride 1": {"stem_kernel": 7, "stem_stride": 1},
        "3x3, stride 2": {"stem_kernel": 3, "stem_stride": 2},
        "3x3, stride 1, logits": {"head": "logits"},
        "7x7, stride 2, logits": {"stem_kernel": 7, "stem_stride": 2, "head": "logits"},
    },
    rows=[
        Row("E-T9", "3x3, stride 1", Reported(0.7871, 0.00005)),
        Row("E-T9", "3x3, stride 1", Reported(130.22897, 0.000005), "train_loss_sum"),
        Row("E-T10", "7x7, stride 2", Reported(0.6924, 0.00005)),
        Row("E-T10", "7x7, stride 2", Reported(138.71478, 0.000005), "train_loss_sum"),
    ],
    claims=[
        Claim(text="E-T9, E-T10: the small stem kernel is better", best=["3x3, stride 1", "7x7, stride 2"]),
        Claim(
            text="E-T9, E-T10: by about 9 points (within 1 point)",
            difference=["3x3, stride 1", "7x7, stride 2"],
            size=0.09,
            margin=0.01,
        ),
        Claim(
            text="E: it is the size: at equal strides the small kernel is better",
            best=["3x3, stride 1", "7x7, stride 1"],
        ),
        Claim(
            text="Repaired: it is the stride: at equal sizes stride 1 is better",
            best=["3x3, stride 1", "3x3, stride 2"],
        ),
        Claim(
            text="Repaired: with logits too the small stem kernel is better",
            best=["3x3, stride 1, logits", "7x7, stride 2, logits"],
        ),
    ],
    assumptions=RESNET18_E_ASSUMED,
)

if __name__ == "__main__":
    main(RESNET18)
