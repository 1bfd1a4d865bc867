"""From stored uint8 images to network input: what is drawn, once an epoch, and the pure functions that apply it.

Everything random is drawn by `draw_epoch` as small NumPy arrays, so every pipeline and backend can be handed the same
epoch, and any epoch can be drawn again. `kmodels.geometry` applies them to uint8 images; `normalise` alone computes in
floating point.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kmodels.checks import require
from kmodels.geometry import Images, flip_left_right, pad_to, random_crop, resize_bilinear, rotate

__all__ = ["Draws", "Transform", "apply", "draw_epoch", "normalise", "normalization_constants", "scale_and_shift"]


@dataclass(frozen=True, kw_only=True)
class Transform:
    """How stored uint8 images become network input: crop, flip, rotate, pad or resize, normalise, in this order.

    Attributes:
        mean: per channel, subtracted after division by 255.
        std: per channel, above 0, divides what is left; mean 0 and std 1 leave values in [0, 1].
        image_size: height and width in pixels of the result; None leaves them as they are.
        resize: `pad` with zeros around the image, or `bilinear` interpolation.
        crop_padding: pixels of zeros put around an image before a random crop back to its size, 0 to 127; 0 for none.
        flip: mirror an image left to right with probability one half.
        rotation_degrees: rotate by an angle drawn evenly from ± this many degrees, 0 to 180; 0 for none.

    Raises:
        ValueError: a field is outside its range; the message names it.

    Example:
        >>> Transform(mean=(0.0,), std=(1.0,), image_size=32).output_shape((28, 28, 1))
        (32, 32, 1)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int | None = None
    resize: str = "pad"
    crop_padding: int = 0
    flip: bool = False
    rotation_degrees: float = 0.0

    def __post_init__(self) -> None:
        require(len(self.mean) >= 1, "mean", "one number a channel", self.mean)
        require(len(self.std) == len(self.mean), "std", f"{len(self.mean)} numbers, as many as mean has", self.std)
        require(all(value > 0 for value in self.std), "std", "numbers above 0", self.std)
        require(self.image_size is None or self.image_size >= 1, "image_size", "None, or 1 or more", self.image_size)
        require(self.resize in ("pad", "bilinear"), "resize", "'pad' or 'bilinear'", self.resize)
        require(0 <= self.crop_padding <= 127, "crop_padding", "0 to 127", self.crop_padding)
        require(0 <= self.rotation_degrees <= 180, "rotation_degrees", "0 to 180", self.rotation_degrees)

    def output_shape(self, image_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Shape of one transformed image.

        Args:
            image_shape: `(height, width, channels)` of the stored images.

        Returns:
            `(height, width, channels)` of the network's input.

        Raises:
            ValueError: such images cannot be transformed like this.
        """
        require(len(image_shape) == 3, "image_shape", "(height, width, channels)", image_shape)
        height, width, channels = image_shape
        require(channels == len(self.mean), "mean", f"{channels} numbers, one a channel of the images", self.mean)
        require(
            self.crop_padding < min(height, width),
            "crop_padding",
            f"less than the images' side of {min(height, width)}, so that no crop misses the image",
            self.crop_padding,
        )
        if self.image_size is None:
            return height, width, channels
        require(
            self.resize == "bilinear" or self.image_size >= max(height, width),
            "image_size",
            f"{max(height, width)} or more to pad images of {height}x{width}",
            self.image_size,
        )
        return self.image_size, self.image_size, channels


@dataclass(frozen=True)
class Draws:
    """The random choices of one epoch, or of a run of images in it; None for an augmentation that is off.

    Attributes:
        order: int32 `(n,)`, which image comes at each place, counted from 0 within the part that is trained on.
        offsets: uint8 `(n, 2)`, row and column of each crop's corner in the padded image, 0 to twice the padding.
        flips: bool `(n,)`, True for an image that is mirrored.
        angles: float32 `(n,)`, degrees, counter-clockwise.
    """

    order: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.uint8] | None = None
    flips: npt.NDArray[np.bool_] | None = None
    angles: npt.NDArray[np.float32] | None = None

    def part(self, start: int, stop: int) -> "Draws":
        """The choices for the images at places `start` to `stop`, cut off at the epoch's end."""
        part = slice(start, stop)
        return Draws(
            self.order[part],
            None if self.offsets is None else self.offsets[part],
            None if self.flips is None else self.flips[part],
            None if self.angles is None else self.angles[part],
        )


def draw_epoch(count: int, transform: Transform, *, seed: int, fold: int, epoch: int) -> Draws:
    """Draws one epoch's order and augmentations.

    Only raw 64-bit Philox words are used, which no NumPy release changes. Order, offsets, flips and angles come from
    streams of their own: switching one augmentation on leaves every other choice as it was.

    Args:
        count: images in the epoch, 1 or more.
        transform: says which augmentations are on, and how far they reach.
        seed: of the run, 0 to 2**64 - 1.
        fold: part of the split, 0 to 2**32 - 1.
        epoch: counted from 0, up to 2**32 - 1.

    Returns:
        Choices for `count` images; the order is a permutation.

    Raises:
        ValueError: a number is outside its range.

    Example:
        >>> plain = Transform(mean=(0.0,), std=(1.0,))
        >>> draw_epoch(6, plain, seed=0, fold=0, epoch=1).order
        array([5, 3, 2, 4, 1, 0], dtype=int32)
    """
    require(1 <= count < 2**31, "count", "1 or more, below 2**31", count)
    require(0 <= seed < 2**64, "seed", "0 or more, below 2**64", seed)
    require(0 <= fold < 2**32, "fold", "0 or more, below 2**32", fold)
    require(0 <= epoch < 2**32, "epoch", "0 or more, below 2**32", epoch)
    key = np.array([seed, (fold << 32) | epoch], dtype=np.uint64)

    def words(stream: int, n: int) -> npt.NDArray[np.uint64]:
        return np.random.Philox(key=key, counter=np.array([0, 0, 0, stream], dtype=np.uint64)).random_raw(n)

    # Words that tie (chance below 1e-9 in an epoch) keep their place: a stable sort leaves nothing to the platform.
    order = np.argsort(words(0, count), kind="stable").astype(np.int32)
    offsets = flips = angles = None
    if transform.crop_padding:
        places = np.uint64(2 * transform.crop_padding + 1)
        offsets = (((words(1, 2 * count) >> np.uint64(32)) * places) >> np.uint64(32)).astype(np.uint8).reshape(-1, 2)
    if transform.flip:
        flips = (words(2, count) >> np.uint64(63)).astype(np.bool_)
    if transform.rotation_degrees:
        # 24 bits are exactly what a float32 in [-1, 1) can tell apart.
        turn = (words(3, count) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)
        angles = turn * np.float32(transform.rotation_degrees)
    return Draws(order, offsets, flips, angles)


def scale_and_shift(transform: Transform) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What a pixel is multiplied by and what is then added, both float32 `(channels,)`."""
    mean, std = np.array(transform.mean, np.float64), np.array(transform.std, np.float64)
    return (1.0 / (255.0 * std)).astype(np.float32), (-mean / std).astype(np.float32)


def normalise(images: Images, transform: Transform) -> npt.NDArray[np.float32]:
    """Brings pixels to the network's scale: `(pixel / 255 - mean) / std`, as one product and one sum in float32.

    Args:
        images: uint8 `(batch, height, width, channels)`.
        transform: gives mean and standard deviation per channel.

    Returns:
        float32, shape of `images`, within 1e-6 / std of the exact value.

    Example:
        >>> half = Transform(mean=(0.5,), std=(0.5,))
        >>> normalise(np.array([[[[0], [255]]]], np.uint8), half).ravel().tolist()
        [-1.0, 1.0]
    """
    n, h, w, c = images.shape
    scale, shift = (np.tile(per_channel, h * w) for per_channel in scale_and_shift(transform))
    values = images.reshape(n, h * w * c).astype(np.float32)
    values *= scale
    values += shift
    return values.reshape(images.shape)


def normalization_constants(
    kind: str, name: str, x_train: Images, indices: npt.NDArray[np.integer] | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel for `Transform`, in units of pixel / 255.

    Args:
        kind: `unit` (mean 0, std 1), `standard` (over all pixels of the training part) or `report_e` (the constants
            that report E prints for CIFAR-10; its "std" is the mean over images of each image's own).
        name: of the data set.
        x_train: uint8 `(n, height, width, channels)`.
        indices: the training part within `x_train`; None for all of it.

    Returns:
        Two tuples of `channels` numbers.

    Raises:
        ValueError: an unknown kind, `report_e` for another data set than CIFAR-10, or a channel that never changes.

    Example:
        >>> normalization_constants("standard", "mine", np.array([[[[0], [255]]]], np.uint8))
        ((0.5,), (0.5,))

    Reference:
        Report E, listing: `Normalize(mean, std)`, over all 50,000 images, validation included.
    """
    channels = x_train.shape[-1]
    if kind == "unit":
        return (0.0,) * channels, (1.0,) * channels
    if kind == "report_e":
        require(name == "cifar10", "name", "'cifar10', the only set report E has constants for", name)
        return (0.49139968, 0.48215841, 0.44653091), (0.20220212, 0.19931542, 0.20086346)
    require(kind == "standard", "kind", "'unit', 'standard' or 'report_e'", kind)
    # Counting grey levels is exact, so neither the order of summation nor the number of threads can move a number.
    counts = np.zeros((channels, 256), np.int64)
    chosen = np.arange(len(x_train)) if indices is None else indices
    for start in range(0, len(chosen), 1000):
        pixels = x_train[chosen[start : start + 1000]].reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(pixels[:, channel], minlength=256)
    require(len(chosen) > 0, "x_train", "at least one image", x_train.shape)
    means, stds = [], []
    for levels in counts.tolist():
        total = sum(levels)  # Python's integers: total * squares does not fit in 64 bits
        values = sum(level * count for level, count in enumerate(levels))
        squares = sum(level**2 * count for level, count in enumerate(levels))
        means.append(values / total / 255)
        stds.append(math.sqrt(total * squares - values**2) / total / 255)
    require(min(stds) > 0, "x_train", "pixels that differ in every channel", stds)
    return tuple(means), tuple(stds)


def apply(images: Images, draws: Draws | None, transform: Transform) -> npt.NDArray[np.float32]:
    """Augments and normalises a batch: crop, flip, rotate, pad or resize, normalise.

    Args:
        images: uint8 `(batch, height, width, channels)`, already in the drawn order.
        draws: the choices for these images; None for evaluation, which augments nothing.
        transform: what to do.

    Returns:
        float32 `(batch, height, width, channels)`, of the size `transform.output_shape` says.

    Raises:
        ValueError: the images do not fit the transform, or the draws are not those of this transform and these images.

    Example:
        >>> images = np.full((2, 28, 28, 1), 255, np.uint8)
        >>> batch = apply(images, None, Transform(mean=(0.0,), std=(1.0,), image_size=32))
        >>> batch.shape, float(batch[0, 0, 0, 0]), float(batch[0, 16, 16, 0])
        ((2, 32, 32, 1), 0.0, 1.0)
    """
    require(images.dtype == np.uint8, "images", "dtype uint8", images.dtype.name)
    size = transform.output_shape(images.shape[1:])[:2]
    if draws is not None:
        require(len(draws.order) == len(images), "draws", f"{len(images)} choices, one an image", len(draws.order))
        wanted = {"offsets": transform.crop_padding, "flips": transform.flip, "angles": transform.rotation_degrees}
        given = {name for name in wanted if getattr(draws, name) is not None}
        expected = {name for name, on in wanted.items() if on}
        require(given == expected, "draws", f"{sorted(expected)} besides the order", sorted(given))
        if draws.offsets is not None:
            images = random_crop(images, draws.offsets, transform.crop_padding)
        if draws.flips is not None:
            images = flip_left_right(images, draws.flips)
        if draws.angles is not None:
            images = rotate(images, draws.angles)
    if transform.image_size is not None and images.shape[1:3] != size:
        resized = pad_to if transform.resize == "pad" else resize_bilinear
        images = resized(images, transform.image_size)
    return normalise(images, transform)
