"""Does squeeze-and-excitation help on CIFAR-10, and what does it cost?  Reports B-1.1 … B-1.6, D-2, D-4.

    python experiments/ablation_attention.py                      # what is known; too slow for a quick run
    python experiments/ablation_attention.py --protocol report    # as the reports trained it: 3 seeds, many hours
    python experiments/ablation_attention.py --report             # table and figures from results, no training

Report B says of its networks, too, which is the larger: they are counted, after one step of training each.
Of report D the ResNet came to 84.2 % and the SE-ResNet to 84.6 % on average over three seeds, which is too close to
tell which is better, or that they are equal. All else waits for its protocol.
"""

from kmodels import Claim, Experiment, Reported, Row, Split, main
from kmodels.recipes import RESNET_D, RESNET_D_ASSUMED, SE_B_ASSUMED, VGG16_B, VGG16_B_ASSUMED
from kmodels.spec.recipe import Schedule

_OWN = {"split": Split(kind="holdout", validation_fraction=0.1)}

B = Experiment(
    name="B-attention",
    question="VGG-16 and ResNet-18 with and without SE, CIFAR-10, Adam 0.005 in steps, 50 epochs",
    base=VGG16_B,
    cells={
        "VGG16": {},
        "SE-VGG16-1": {"model": "se_vgg16_conv"},
        "SE-VGG16-2": {"model": "se_vgg16_stage"},
        "ResNet-18": {"model": "resnet18"},
        "SE-ResNet-18": {"model": "se_resnet18"},
        "ResNet-34": {"model": "resnet34"},
    },
    repaired={
        "VGG16, own validation images": _OWN,
        "VGG16, own validation images, best epoch": {**_OWN, "keep": "best_accuracy"},
        "SE-VGG16-1, own validation images, best epoch": {"model": "se_vgg16_conv", **_OWN, "keep": "best_accuracy"},
    },
    rows=[
        Row("B-1.1", "VGG16", Reported(0.8750, 0.00005), "test_accuracy"),
        Row("B-1.1", "VGG16", Reported(0.8750, 0.00005), "best_validation_accuracy"),
        Row("B-1.2", "ResNet-18", Reported(0.8562, 0.00005), "test_accuracy"),
        Row("B-1.3", "SE-VGG16-1", Reported(0.8742, 0.00005), "test_accuracy"),
        Row("B-1.4", "SE-VGG16-2", Reported(0.8704, 0.00005), "test_accuracy"),
        Row("B-1.5", "SE-ResNet-18", Reported(0.8519, 0.00005), "test_accuracy"),
        Row("B-1.6", "ResNet-34", measure="test_accuracy"),
    ],
    claims=[
        Claim(
            text="B-1: SE after every convolution does not help VGG-16 (by 0.5 points)",
            measure="test_accuracy",
            no_better=["SE-VGG16-1", "VGG16"],
        ),
        Claim(
            text="B-1: SE after every stage does not help VGG-16 (by 0.5 points)",
            measure="test_accuracy",
            no_better=["SE-VGG16-2", "VGG16"],
        ),
        Claim(
            text="B-1: SE does not help ResNet-18 (by 0.5 points)",
            measure="test_accuracy",
            no_better=["SE-ResNet-18", "ResNet-18"],
        ),
        Claim(
            text="B: VGG-16 with SE after every convolution is slightly worse than without",
            measure="test_accuracy",
            best=["VGG16", "SE-VGG16-1"],
        ),
        Claim(
            text="B: VGG-16 with SE after every stage is slightly worse than without",
            measure="test_accuracy",
            best=["VGG16", "SE-VGG16-2"],
        ),
        Claim(
            text="B: ResNet-18 with SE is slightly worse than without",
            measure="test_accuracy",
            best=["ResNet-18", "SE-ResNet-18"],
        ),
        Claim(
            text="B: SE after every stage costs less than after every convolution",
            measure="seconds",
            best=["SE-VGG16-2", "SE-VGG16-1"],
        ),
        Claim(
            text="Repaired: where validation images choose the epoch, SE after every convolution does not help either",
            measure="test_accuracy",
            no_better=["SE-VGG16-1, own validation images, best epoch", "VGG16, own validation images, best epoch"],
        ),
        Claim(
            text="Ours: chosen by validation images or last, which epoch VGG-16 is tested at does not matter",
            measure="test_accuracy",
            equal=["VGG16, own validation images, best epoch", "VGG16, own validation images"],
        ),
    ],
    assumptions=[
        *VGG16_B_ASSUMED,
        *SE_B_ASSUMED,
        "The report names no validation images and does not say whether its numbers are of the last epoch or the best: "
        "the last, and for row B-1.1 the maximum over the epochs beside it (validation images are the test images).",
        "Where a network has validation images of its own, they are a tenth of the training images.",
    ],
)

SIZE = Experiment(
    name="B-size",
    question="How large report B's networks are, and what SE adds; one step of training",
    base=VGG16_B.change(
        dataset="digits",
        resize="bilinear",
        epochs=1,
        train_images=256,
        schedule=Schedule(),
        observe=("size",),
    ),
    cells={
        "VGG16": {},
        "SE-VGG16-1": {"model": "se_vgg16_conv"},
        "SE-VGG16-2": {"model": "se_vgg16_stage"},
        "ResNet-18": {"model": "resnet18"},
    },
    seeds=1,
    claims=[
        Claim(text="B: ResNet has fewer parameters than VGG", measure="parameters", best=["ResNet-18", "VGG16"]),
        Claim(
            text="B: SE after every stage has fewer parameters than after every convolution",
            measure="parameters",
            best=["SE-VGG16-2", "SE-VGG16-1"],
        ),
        Claim(
            text="B: SE after every stage takes fewer multiply-accumulates than after every convolution",
            measure="macs",
            best=["SE-VGG16-2", "SE-VGG16-1"],
        ),
    ],
    assumptions=[
        VGG16_B_ASSUMED[0],
        *SE_B_ASSUMED,
        "They are counted with the digits that are at hand everywhere, brought to 32x32: one channel instead of three, "
        "1,152 weights fewer in the first convolution of each.",
    ],
)

D = Experiment(
    name="D-attention",
    question="Report D's ResNet with and without SE, CIFAR-10, 20 epochs",
    base=RESNET_D,
    cells={"ResNet": {}, "SE-ResNet": {"model": "se_resnet14_d"}},
    repaired={"SE-ResNet, 10 epochs": {"model": "se_resnet14_d", "epochs": 10}},
    rows=[
        Row(row, cell, Reported(0.80, 0.0, "at least"), measure)
        for row, cell in (("D-2", "ResNet"), ("D-4", "SE-ResNet"))
        for measure in ("validation_accuracy", "train_accuracy")
    ],
    claims=[
        Claim(
            text="D-4: SE-ResNet has converged (its 20 epochs gain less than 2 points over 10)",
            no_better=["SE-ResNet", "SE-ResNet, 10 epochs"],
            margin=0.02,
        ),
        Claim(text="D-4: SE-ResNet is about equal to ResNet (within 0.5 points)", equal=["SE-ResNet", "ResNet"]),
        Claim(text="D-5: SE improves further", best=["SE-ResNet", "ResNet"]),
    ],
    assumptions=[
        *RESNET_D_ASSUMED,
        "“Over 80 %” may be validation or training accuracy: judged as both, as the section records training curves.",
        "“Converged” is read as: half the epochs, down the same cosine, come within 2 points.",
    ],
)

if __name__ == "__main__":
    main(B, SIZE, D)
