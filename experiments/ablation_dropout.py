"""Does dropout help, and how much is too much?  Report A-1.2.

    python experiments/ablation_dropout.py                      # what is known, then a quick run
    python experiments/ablation_dropout.py --protocol report    # as the report trained it: 10 folds, 30 epochs, hours
    python experiments/ablation_dropout.py --report             # table and figures from results, no training

The report validates once a fold, at its end; here validation is also measured after every epoch, for the curves.
The report's protocol has not been run yet.
"""

from kmodels import Claim, Experiment, Row, grid, main
from kmodels.recipes import LENET_A

LENET = Experiment(
    name="A-lenet-dropout",
    question="Dropout after the first dense layer of LeNet, MNIST, 10 folds, 30 epochs",
    base=LENET_A.change(epochs=30, batch_size=128, learning_rate=5e-4),
    cells=grid(dropout=[0.0, 0.2, 0.5]),
    repaired={"dropout=0.0, logits": {"head": "logits"}},
    rows=[
        Row("A-1.2", "dropout=0.0"),
        Row("A-1.2", "dropout=0.2"),
        Row("A-1.2", "dropout=0.5"),
    ],
    claims=[
        Claim(
            text="A-1.2: without dropout LeNet is best",
            best=["dropout=0.0", "dropout=0.2", "dropout=0.5"],
        ),
        Claim(
            text="A-1.2: without dropout LeNet is most stable over folds",
            measure="validation_accuracy_spread",
            best=["dropout=0.0", "dropout=0.2", "dropout=0.5"],
        ),
    ],
    quick={"epochs": 3, "train_images": 13_000, "batch_size": 32, "learning_rate": 1e-3},
    assumptions=[
        "The loss is not printed in the report: cross-entropy on the network's softmax output is assumed.",
        "How 28x28 images become 32x32 is not stated: zero padding is assumed; pixels are divided by 255.",
        "The lines that feed images are cut off in print: a new order every epoch, a short last batch kept.",
        "Adam's settings beside the learning rate are PyTorch's defaults: betas 0.9 and 0.999, epsilon 1e-8.",
    ],
)

if __name__ == "__main__":
    main(LENET)
