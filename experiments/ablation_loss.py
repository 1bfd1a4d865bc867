"""What does it cost to feed softmax outputs to a cross-entropy that applies softmax again?  Reports A, C, E.

    python experiments/ablation_loss.py                      # what is known, then a quick run of LeNet
    python experiments/ablation_loss.py --protocol report    # as the reports trained it: 3 seeds, hours
    python experiments/ablation_loss.py --report             # table and figures from results, no training

Such a loss never falls below ln(1 + 9/e) = 1.461 for ten classes, and its gradients are damped. The reports did not
mean to do it and say nothing of it: no row of theirs stands here, but runs of their rows are shared.
Of report A's LeNet both have run, one seed: 97.5 % with the softmax (row A-1.2 without dropout) and 98.2 % on logits,
over ten folds. All else waits for its protocol.
"""

from kmodels import Claim, Experiment, main
from kmodels.recipes import CONVNET_C, CONVNET_C_ASSUMED, LENET_A, LENET_A_ASSUMED, RESNET18_E, RESNET18_E_ASSUMED

LENET = Experiment(
    name="A-lenet-loss",
    question="Softmax or logits into the cross-entropy, LeNet, MNIST, 10 folds, 30 epochs",
    base=LENET_A.change(epochs=30, batch_size=128, learning_rate=5e-4),
    cells={"softmax": {}},
    repaired={"logits": {"head": "logits"}},
    claims=[
        Claim(text="Repaired: with logits LeNet is more accurate", best=["logits", "softmax"]),
        Claim(
            text="Repaired: with logits LeNet does better on the test images too",
            measure="test_accuracy",
            best=["logits", "softmax"],
        ),
    ],
    quick={"epochs": 3, "train_images": 13_000, "batch_size": 32, "learning_rate": 1e-3},
    assumptions=LENET_A_ASSUMED,
)

CONVNET = Experiment(
    name="C-loss",
    question="Softmax or logits into the cross-entropy, MyConvNet, MNIST, 64 epochs",
    base=CONVNET_C,
    cells={"softmax": {}},
    repaired={"logits": {"head": "logits"}},
    claims=[
        Claim(text="Repaired: with logits MyConvNet is more accurate", best=["logits", "softmax"]),
        Claim(
            text="Repaired: with logits it does better on the test images too",
            measure="test_accuracy",
            best=["logits", "softmax"],
        ),
        Claim(
            text="Repaired: with logits its test images are likelier", measure="test_nll", best=["logits", "softmax"]
        ),
    ],
    assumptions=CONVNET_C_ASSUMED,
)

RESNET18 = Experiment(
    name="E-loss",
    question="Softmax or logits into the cross-entropy, ResNet-18, CIFAR-10, 30 epochs",
    base=RESNET18_E,
    cells={"softmax": {}},
    repaired={"logits": {"head": "logits"}},
    claims=[
        Claim(text="Repaired: with logits ResNet-18 is more accurate", best=["logits", "softmax"]),
        Claim(
            text="Repaired: with logits its test images are likelier", measure="test_nll", best=["logits", "softmax"]
        ),
    ],
    assumptions=RESNET18_E_ASSUMED,
)

if __name__ == "__main__":
    main(LENET, CONVNET, RESNET18)
