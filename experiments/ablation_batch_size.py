"""Does a small batch beat a large one?  Reports A-1.1, B-4.1 … B-4.4, B-5.3.

    python experiments/ablation_batch_size.py                      # what is known, then a quick run of LeNet
    python experiments/ablation_batch_size.py --protocol report    # as the reports trained it: 3 seeds, hours
    python experiments/ablation_batch_size.py --report             # table and figures from results, no training

Report A changes the learning rate beside the batch size. Report B prints 84.3 % for batch 256 here and 87.50 % for the
same settings in its first table (row B-1.1).
Row A-1.1 over the 10 folds of three seeds: 96.4 % for LeNet_2, which the report found best, 94.3 % for LeNet_1 and
93.3 % for LeNet_3. Eight claims are judged together, so it still says "cannot tell". Report B's rows wait for their
protocol.
"""

from kmodels import Claim, Experiment, Reported, Row, Split, main
from kmodels.recipes import LENET_A, LENET_A_ASSUMED, VGG16_B, VGG16_B_ASSUMED

LENET = Experiment(
    name="A-lenet-batch-size",
    question="Batch size and learning rate of LeNet, MNIST, 10 folds, 10 epochs",
    base=LENET_A.change(epochs=10),
    cells={
        "LeNet_1: batch 256, lr 1e-3": {"batch_size": 256, "learning_rate": 1e-3},
        "LeNet_2: batch 128, lr 1e-3": {"batch_size": 128, "learning_rate": 1e-3},
        "LeNet_3: batch 128, lr 5e-4": {"batch_size": 128, "learning_rate": 5e-4},
    },
    repaired={
        "batch 128, lr 1e-3, logits": {"batch_size": 128, "learning_rate": 1e-3, "head": "logits"},
        "LeNet_2, refit on all images": {"batch_size": 128, "learning_rate": 1e-3, "split": Split(kind="test")},
    },
    rows=[
        Row("A-1.1", "LeNet_1: batch 256, lr 1e-3"),
        Row("A-1.1", "LeNet_2: batch 128, lr 1e-3"),
        Row("A-1.1", "LeNet_3: batch 128, lr 5e-4"),
        Row("A-1.1", "LeNet_1: batch 256, lr 1e-3", measure="validation_loss"),
        Row("A-1.1", "LeNet_2: batch 128, lr 1e-3", measure="validation_loss"),
        Row("A-1.1", "LeNet_3: batch 128, lr 5e-4", measure="validation_loss"),
        Row("A-1.1", "LeNet_1: batch 256, lr 1e-3", measure="last_fold_test_accuracy"),
        Row("A-1.1", "LeNet_2: batch 128, lr 1e-3", measure="last_fold_test_accuracy"),
        Row("A-1.1", "LeNet_3: batch 128, lr 5e-4", measure="last_fold_test_accuracy"),
        Row("A-1.1", "LeNet_1: batch 256, lr 1e-3", measure="test_accuracy"),
        Row("A-1.1", "LeNet_2: batch 128, lr 1e-3", measure="test_accuracy"),
        Row("A-1.1", "LeNet_3: batch 128, lr 5e-4", measure="test_accuracy"),
    ],
    claims=[
        Claim(
            text="A-1.1: LeNet_2 has the highest validation accuracy",
            best=["LeNet_2: batch 128, lr 1e-3", "LeNet_1: batch 256, lr 1e-3", "LeNet_3: batch 128, lr 5e-4"],
        ),
        Claim(
            text="A-1.1: LeNet_2 has the lowest validation loss",
            measure="validation_loss",
            best=["LeNet_2: batch 128, lr 1e-3", "LeNet_1: batch 256, lr 1e-3", "LeNet_3: batch 128, lr 5e-4"],
        ),
        Claim(
            text="Repaired: LeNet_2 is more accurate with logits",
            best=["batch 128, lr 1e-3, logits", "LeNet_2: batch 128, lr 1e-3"],
        ),
        Claim(
            text="Repaired: refit on all images LeNet_2 tests better than over its folds",
            measure="test_accuracy",
            best=["LeNet_2, refit on all images", "LeNet_2: batch 128, lr 1e-3"],
        ),
    ],
    quick={"epochs": 5},
    quick_folds=1,
    assumptions=[
        *LENET_A_ASSUMED,
        "The refit trains on all 60,000 images and is measured on the test images.",
    ],
)

VGG16 = Experiment(
    name="B-batch-size",
    question="Batch size of VGG-16, CIFAR-10, Adam 0.005 in steps, 50 epochs",
    base=VGG16_B,
    cells={
        "batch 32": {"batch_size": 32},
        "batch 64": {"batch_size": 64},
        "batch 128": {"batch_size": 128},
        "batch 256": {"batch_size": 256},
    },
    rows=[
        Row("B-4.1", "batch 32", Reported(0.880, 0.0005), "test_accuracy"),
        Row("B-4.2", "batch 128", Reported(0.860, 0.0005), "test_accuracy"),
        Row("B-4.3", "batch 256", Reported(0.843, 0.0005), "test_accuracy"),
        Row("B-4.4", "batch 64", None, "test_accuracy"),
    ],
    claims=[
        Claim(
            text="B-4: the smaller the batch the better",
            measure="test_accuracy",
            order=["batch 32", "batch 128", "batch 256"],
        ),
        Claim(
            text="B-4: batch 64 in steps beats the large batches",
            measure="test_accuracy",
            best=["batch 64", "batch 128", "batch 256"],
        ),
        Claim(text="B-4: a small batch takes longer", measure="seconds", order=["batch 256", "batch 128", "batch 32"]),
    ],
    assumptions=[
        *VGG16_B_ASSUMED,
        "Network, optimizer and rate of these rows are not stated: those of row B-1.1 are assumed.",
    ],
)

RESNET18 = Experiment(
    name="B-resnet18-batch-size",
    question="ResNet-18 at batch 32, CIFAR-10, Adam 0.005 in steps, 50 epochs",
    base=VGG16_B.change(model="resnet18"),
    cells={"batch 32": {"batch_size": 32}, "batch 256": {}},
    rows=[Row("B-5.3", "batch 32", Reported(0.90, 0.005, "at least"), "test_accuracy")],
    claims=[
        Claim(
            text="B-5.3: a batch of 32 lifts ResNet",
            measure="test_accuracy",
            best=["batch 32", "batch 256"],
        )
    ],
    assumptions=[
        *VGG16_B_ASSUMED[1:],
        "Depth, optimizer and rate are not stated: those of row B-1.2 are assumed.",
        "“Can reach 90 %” is read as a bound to the nearest percent.",
    ],
)

if __name__ == "__main__":
    main(LENET, VGG16, RESNET18)
