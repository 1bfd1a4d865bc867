"""What does batch normalisation give?  Reports A-2.2, E-T7, E-T8.

    python experiments/ablation_normalization.py                      # what is known; too slow for a quick run
    python experiments/ablation_normalization.py --protocol report    # as the reports trained it: 3 seeds, hours
    python experiments/ablation_normalization.py --report             # table and figures from results, no training

Report A normalises the whole of AlexNet, report E leaves out 1 of the 20 batch normalisations of ResNet-18.
The reports' protocols have not been run yet.
"""

from kmodels import Claim, Experiment, Reported, Row, Split, main
from kmodels.recipes import ALEXNET_A, ALEXNET_A_ASSUMED, RESNET18_E, RESNET18_E_ASSUMED

ALEXNET = Experiment(
    name="A-alexnet-normalization",
    question="Batch normalisation in AlexNet, MNIST, K-fold off, 15 epochs, no dropout",
    base=ALEXNET_A.change(epochs=15, batch_size=128, learning_rate=5e-4, dropout=0.0),
    cells={"without": {"normalize": False}, "with": {"normalize": True}},
    repaired={
        "without, own validation images": {
            "normalize": False,
            "split": Split(kind="holdout", validation_fraction=0.1),
        },
        "with, own validation images": {"normalize": True, "split": Split(kind="holdout", validation_fraction=0.1)},
    },
    rows=[Row("A-2.2", "without"), Row("A-2.2", "with")],
    claims=[
        Claim(
            text="A-2.2: with batch normalisation the loss falls faster",
            measure="mean_train_loss",
            best=["with", "without"],
        ),
        Claim(
            text="A-2.2: with batch normalisation train and test accuracy are closer",
            measure="accuracy_gap",
            best=["with", "without"],
        ),
        Claim(text="A-2.2: with batch normalisation it generalises better", best=["with", "without"]),
        Claim(
            text="Repaired: validated on images of its own, with batch normalisation it tests better",
            measure="test_accuracy",
            best=["with, own validation images", "without, own validation images"],
        ),
        Claim(
            text="Repaired: validated on images of its own, training and validation accuracy are closer with it too",
            measure="accuracy_gap",
            best=["with, own validation images", "without, own validation images"],
        ),
    ],
    assumptions=[
        *ALEXNET_A_ASSUMED,
        "Where it has validation images of its own, they are a tenth of the training images.",
    ],
)

RESNET18 = Experiment(
    name="E-normalization",
    question="Batch normalisation in the stem of ResNet-18, CIFAR-10, 30 epochs",
    base=RESNET18_E,
    cells={"with": {"stem_batch_norm": True}, "without": {"stem_batch_norm": False}},
    repaired={
        "with, logits": {"stem_batch_norm": True, "head": "logits"},
        "without, logits": {"stem_batch_norm": False, "head": "logits"},
        "with, images normalised by the training part's own deviation": {"normalization": "standard"},
    },
    rows=[
        Row("E-T7", "with", Reported(0.7871, 0.00005)),
        Row("E-T7", "with", Reported(130.22897, 0.000005), "train_loss_sum"),
        Row("E-T8", "without", Reported(0.7608, 0.00005)),
        Row("E-T8", "without", Reported(132.10440, 0.000005), "train_loss_sum"),
    ],
    claims=[
        Claim(text="E-T7, E-T8: batch normalisation in the stem helps", best=["with", "without"]),
        Claim(
            text="E-T7, E-T8: it gives 2.6 points (within 0.5 points)",
            difference=["with", "without"],
            size=0.0263,
            margin=0.005,
        ),
        Claim(
            text="Repaired: normalised by the training part's own deviation it is as accurate (within 0.5 points)",
            equal=["with, images normalised by the training part's own deviation", "with"],
        ),
        Claim(
            text="Repaired: with logits too batch normalisation in the stem helps",
            best=["with, logits", "without, logits"],
        ),
    ],
    assumptions=[
        *RESNET18_E_ASSUMED,
        "The text leaves out a batch normalisation before the dense layer; the listing, and section 2.2, have it in "
        "the stem.",
    ],
)

if __name__ == "__main__":
    main(ALEXNET, RESNET18)
