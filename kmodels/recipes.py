"""The base recipes of the reports: what each report's runner sets, with every field that varies spelled out.

Beside each stands what had to be assumed, as the report does not say; experiments show it under their tables.
"""

from __future__ import annotations

from kmodels.spec.experiment import Recipe, Schedule, Split
from kmodels.spec.recipe import Restart

__all__ = ["ALEXNET_A", "ALEXNET_A_ASSUMED", "CONVNET_C", "CONVNET_C_ASSUMED", "LENET_A", "LENET_A_ASSUMED"]
__all__ += ["PLAIN_NET_D", "PLAIN_NET_D_ASSUMED", "RESNET18_E", "RESNET18_E_ASSUMED", "RESNET_D", "RESNET_D_ASSUMED"]
__all__ += ["RESNET18_E_LIMIT", "RESNET18_E_LIMIT_ASSUMED", "SE_B_ASSUMED", "VGG16_B", "VGG16_B_ASSUMED"]

LENET_A = Recipe(
    model="lenet",
    model_args={"dropout": 0.0},
    head="softmax",
    dataset="mnist",
    split=Split(kind="kfold", folds=10, random_state=0),
    image_size=32,
    epochs=15,
    batch_size=256,
    optimizer="adam",
    learning_rate=1e-3,
)
"""Report A's LeNet on MNIST with the defaults of its runner: Adam, 10 folds, softmax fed to the cross-entropy."""

_RUNNER_A_ASSUMED = (
    "Pixels are divided by 255.",
    "The lines that feed images are cut off in print: a new order every epoch, a short last batch kept.",
    "Adam's settings beside the learning rate are PyTorch's defaults: betas 0.9 and 0.999, epsilon 1e-8.",
)

LENET_A_ASSUMED = (
    "The loss is not printed in the report: cross-entropy on the network's softmax output is assumed.",
    "How 28x28 images become 32x32 is not stated: zero padding is assumed.",
    "The report tests the last fold's weights, which stands beside; else a seed's test accuracy is its folds' mean.",
    *_RUNNER_A_ASSUMED,
)
"""What `LENET_A` had to assume."""

ALEXNET_A = Recipe(
    model="alexnet",
    model_args={"normalize": False, "dropout": 0.5},
    dataset="mnist",
    split=Split(kind="test"),
    image_size=224,
    epochs=15,
    batch_size=256,
    optimizer="adam",
    learning_rate=1e-3,
)
"""Report A's AlexNet, padded to 224x224, with K-fold off: the runner then validates on the test images."""

ALEXNET_A_ASSUMED = (
    "The loss is not printed in the report: cross-entropy is assumed, here on logits, as this network has no softmax.",
    "The padding of the first convolution is cut off in print: 1 pixel is assumed.",
    *_RUNNER_A_ASSUMED,
)
"""What `ALEXNET_A` had to assume."""

VGG16_B = Recipe(
    model="vgg16_bn",
    dataset="cifar10",
    split=Split(kind="test"),
    image_size=32,
    epochs=50,
    batch_size=256,
    optimizer="adam",
    learning_rate=5e-3,
    schedule=Schedule(kind="multistep", milestones=(20, 30, 40), gamma=0.1),
)
"""Report B's VGG-16 on CIFAR-10: Adam at 0.005, times 0.1 after 20, 30 and 40 epochs, no augmentation."""

VGG16_B_ASSUMED = (
    "VGG-16 is taken as configuration D with batch normalisation and one dense layer; the report prints neither.",
    "No validation images are mentioned: the test images are watched, and the last epoch counts.",
    "Pixels are divided by 255; weight decay is 0; Adam's other settings are PyTorch's defaults.",
    "The rate's steps after 20, 30 and 40 epochs stand under the report's first table; elsewhere they are assumed.",
)
"""What `VGG16_B` had to assume."""

SE_B_ASSUMED = (
    "SE reduces to a sixteenth, as in the paper on squeeze-and-excitation.",
    "“-1” is read as SE after every convolution, “-2” as after every stage: the text says that only the first was "
    "trained, the table has both.",
)
"""What report B's networks with squeeze-and-excitation had to assume: their reduction, and the names of VGG's two."""

CONVNET_C = Recipe(
    model="convnet",
    head="softmax",
    dataset="mnist",
    split=Split(kind="holdout", validation_fraction=0.167),
    validation_drop_last=True,
    epochs=64,
    keep="best_accuracy",
    patience=48,
    batch_size=16,
    drop_last=True,
    optimizer="adam",
    learning_rate=3e-4,
    schedule=Schedule(kind="step", step_epochs=2, gamma=0.9),
    l2=1e-5,
    clip_norm=10.0,
    testing="report_c",
)
"""Report C's MyConvNet on MNIST: the best of 64 epochs by 10,016 images is tested, in training mode and by drawing."""

CONVNET_C_ASSUMED = (
    "Pixels are divided by 255: the report reads prepared tensors and does not say how they are scaled.",
    "Adam's settings beside rate and decay are PyTorch's defaults: betas 0.9 and 0.999, epsilon 1e-8.",
    "The listing holds, not the text: a rate of 3e-4, not 0.003.",
    "The validation images are drawn once, the same for all seeds; the report draws them anew in every run.",
)
"""What `CONVNET_C` had to assume."""

PLAIN_NET_D = Recipe(
    model="plain_net",
    dataset="cifar10",
    split=Split(kind="test"),
    image_size=32,
    epochs=10,
    batch_size=128,
    optimizer="adam",
    learning_rate=1e-3,
)
"""Report D's plain network "Net" on CIFAR-10."""

_RUNNER_D_ASSUMED = (
    "The validation images are not stated: the 10,000 test images are assumed, and all 50,000 others train.",
    "Pixels are divided by 255, without augmentation; the batch size is 128.",
)

PLAIN_NET_D_ASSUMED = (*_RUNNER_D_ASSUMED, "Adam's settings beside the learning rate are PyTorch's defaults.")
"""What `PLAIN_NET_D` had to assume."""

RESNET_D = Recipe(
    model="resnet14_d",
    dataset="cifar10",
    split=Split(kind="test"),
    image_size=32,
    epochs=20,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    schedule=Schedule(kind="cosine"),
    momentum=0.9,
    l2=5e-4,
)
"""Report D's three-stage ResNet on CIFAR-10; its DenseNet and SE-ResNet differ by the model alone."""

RESNET_D_ASSUMED = (
    *_RUNNER_D_ASSUMED,
    "SGD with momentum 0.9 and weight decay 5e-4, from 0.1 down a cosine over 20 epochs: the report names SGD and a "
    "schedule for SE-ResNet alone, no values, and 20 epochs for ResNet alone.",
    "The listing holds, not the text: a 3x3 stem of stride 1 without pooling, three stages, 14 layers.",
)
"""What `RESNET_D` had to assume."""

RESNET18_E = Recipe(
    model="resnet18_e",
    model_args={
        "blocks_per_stage": 2,
        "stem_kernel": 3,
        "stem_stride": 1,
        "stem_batch_norm": True,
        "dropout": 0.0,
    },
    head="softmax",
    dataset="cifar10",
    split=Split(kind="batches"),
    image_size=32,
    normalization="report_e",
    crop_padding=4,
    flip=True,
    epochs=30,
    batch_size=512,
    optimizer="adam",
    learning_rate=1e-3,
    schedule=Schedule(kind="exponential", gamma=0.9),
    observe=("loss_sum",),
)
"""Report E's ResNet-18 on CIFAR-10: batches 1 to 4 train, batch 5 validates, softmax fed to the cross-entropy."""

RESNET18_E_ASSUMED = (
    "The loss is not printed: cross-entropy on the softmax output, as only that fits the printed sums of losses.",
    "The optimizer is not stated: Adam with PyTorch's defaults; its rate times the decay after every epoch.",
    "The listing holds, not the text: batches 1 to 4 train, batch 5 validates, and the stem has no pooling.",
    "The text's depth holds, not the listing's: two blocks a stage, 18 layers; the listing builds one more a stage.",
    "Only the first block of a stage has stride 2, as in the listing; the text says every block.",
)
"""What `RESNET18_E` had to assume."""

RESNET18_E_LIMIT = RESNET18_E.change(
    restarts=tuple(Restart(epochs=30, learning_rate=rate) for rate in (5e-4, 2e-4, 1e-4)), keep="best_test_accuracy"
)
"""Report E's limit of training: 30 epochs and three restarts, of all epochs the one that tests best (E-L2)."""

RESNET18_E_LIMIT_ASSUMED = (
    "“Best parameters” are the base row's: decay 0.9, no dropout, stem with batch normalisation and a 3x3 kernel.",
    "Restarts are by hand in the report, without numbers: three of 30 epochs each, from 5e-4, 2e-4 and 1e-4, each "
    "from the best weights so far with a fresh optimizer, the rate times 0.9 after every epoch.",
    "The maximum of the test accuracy over all epochs chooses the weights that a restart begins with, too.",
)
"""What `RESNET18_E_LIMIT` had to assume beside `RESNET18_E_ASSUMED`."""
