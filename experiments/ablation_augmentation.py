"""Which augmentation helps?  Reports B-2.1 … B-2.6, and what report C left to do: rotated and moved digits.

    python experiments/ablation_augmentation.py                      # what is known, then a quick run of LeNet
    python experiments/ablation_augmentation.py --protocol report    # as the reports trained it: 3 seeds, many hours
    python experiments/ablation_augmentation.py --report             # table and figures from results, no training

Of LeNet the training without augmentation has run, with the softmax and on logits, one seed (row A-1.2's); all else
waits for its protocol.
"""

from kmodels import Claim, Experiment, Reported, Row, main
from kmodels.recipes import LENET_A, LENET_A_ASSUMED, SE_B_ASSUMED, VGG16_B, VGG16_B_ASSUMED

VGG16 = Experiment(
    name="B-vgg16-augmentation",
    question="One augmentation at a time, VGG-16, CIFAR-10, Adam 0.005 in steps, 50 epochs",
    base=VGG16_B,
    cells={
        "none": {},
        "flip": {"flip": True},
        "rotation": {"rotation_degrees": 15.0},
        "crop": {"crop_padding": 4},
    },
    rows=[
        Row("B-2.1", "none", Reported(0.8750, 0.00005), "test_accuracy"),
        Row("B-2.2", "flip", Reported(0.8953, 0.00005), "test_accuracy"),
        Row("B-2.3", "rotation", Reported(0.8880, 0.00005), "test_accuracy"),
        Row("B-2.4", "crop", Reported(0.8753, 0.00005), "test_accuracy"),
    ],
    claims=[
        Claim(
            text="B-2: flip is better than rotation, rotation than crop",
            measure="test_accuracy",
            order=["flip", "rotation", "crop"],
        ),
        Claim(
            text="B-2: crop is about equal to none (within 0.5 points)",
            measure="test_accuracy",
            equal=["crop", "none"],
        ),
        Claim(
            text="B-2: not every kind of augmentation helps test accuracy: crop does not (by 0.5 points)",
            measure="test_accuracy",
            no_better=["crop", "none"],
        ),
        Claim(
            text="B-2: most kinds of augmentation lower the test loss (two of three at least)",
            measure="test_nll",
            worst=["none", "flip", "rotation", "crop"],
            share=2 / 3,
        ),
        Claim(
            text="B: augmentation keeps the training loss from falling to 0",
            measure="train_loss",
            best=["none", "flip", "rotation", "crop"],
        ),
        Claim(
            text="B: once the training loss is 0 test accuracy stops rising: late, without augmentation, it gains less",
            measure="late_accuracy_gain",
            worst=["none", "flip", "rotation", "crop"],
        ),
    ],
    assumptions=[
        *VGG16_B_ASSUMED,
        "“Once the training loss is 0” is read as the second half of the epochs without augmentation, against those of "
        "networks whose loss augmentation keeps up, as the report compares them; the test images are watched.",
        "Rotation: by an angle drawn evenly from ± 15°. Crop: 4 pixels of zeros around the image, 32x32 at random.",
    ],
)

RESNET18 = Experiment(
    name="B-resnet18-augmentation",
    question="Augmentation of ResNet-18 and SE-ResNet-18, CIFAR-10, Adam 0.005 in steps, 50 epochs",
    base=VGG16_B.change(model="resnet18"),
    cells={
        "ResNet-18": {},
        "ResNet-18, flip and crop": {"flip": True, "crop_padding": 4},
        "SE-ResNet-18": {"model": "se_resnet18"},
        "SE-ResNet-18, flip and crop": {"model": "se_resnet18", "flip": True, "crop_padding": 4},
    },
    rows=[
        Row("B-2.5", "ResNet-18, flip and crop", measure="test_accuracy"),
        Row("B-2.6", "SE-ResNet-18, flip and crop", measure="test_accuracy"),
    ],
    claims=[
        Claim(
            text="B-2.5: ResNet-18 gains by augmentation",
            measure="test_accuracy",
            best=["ResNet-18, flip and crop", "ResNet-18"],
        ),
        Claim(
            text="B-2.6: SE-ResNet-18 gains by augmentation",
            measure="test_accuracy",
            best=["SE-ResNet-18, flip and crop", "SE-ResNet-18"],
        ),
    ],
    assumptions=[
        *VGG16_B_ASSUMED[1:],
        SE_B_ASSUMED[0],
        "The augmentation is not named: flip and crop with 4 pixels are assumed.",
    ],
)

LENET = Experiment(
    name="A-lenet-rotation",
    question="Rotated and moved digits, LeNet, MNIST, 10 folds, 30 epochs",
    base=LENET_A.change(epochs=30, batch_size=128, learning_rate=5e-4),
    cells={"none": {}, "rotation": {"rotation_degrees": 15.0}, "shift": {"crop_padding": 2}},
    repaired={"none, logits": {"head": "logits"}, "rotation, logits": {"rotation_degrees": 15.0, "head": "logits"}},
    claims=[
        Claim(
            text="C, future work: rotation helps on MNIST (asked here of report A's LeNet)",
            best=["rotation", "none"],
        ),
        Claim(
            text="C, future work: linear transforms help on MNIST (shifts, asked here of report A's LeNet)",
            best=["shift", "none"],
        ),
        Claim(
            text="Repaired: with logits too rotation helps on MNIST",
            best=["rotation, logits", "none, logits"],
        ),
    ],
    quick={"epochs": 3, "train_images": 13_000, "batch_size": 32, "learning_rate": 1e-3},
    quick_folds=1,
    assumptions=[
        *LENET_A_ASSUMED,
        "Rotation: by an angle drawn evenly from ± 15°.",
        "“Linear transforms” against slanted digits are not named: beside rotation, which is one, shifts by up to 2 "
        "pixels up or down and left or right stand for them.",
    ],
)

if __name__ == "__main__":
    main(VGG16, RESNET18, LENET)
