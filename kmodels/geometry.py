"""Crops, flips, rotations and sizes: pure functions on batches of uint8 images, whose random choices are handed in.

All of it is integer arithmetic from uint8 to uint8, so that it gives the same bytes wherever it is done.
"""

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

__all__ = [
    "ANGLE_BITS",
    "FRACTION_BITS",
    "Images",
    "flip_left_right",
    "pad_to",
    "random_crop",
    "resize_bilinear",
    "resize_taps",
    "rotate",
    "rotation_terms",
]

Images = npt.NDArray[np.uint8]

FRACTION_BITS = 11
"""Interpolation weights are multiples of 2**-11: two of them times a uint8 still fit in an int32."""
ANGLE_BITS = 16
"""Sines and cosines are multiples of 2**-16."""
_ONE, _HALF = 1 << FRACTION_BITS, 1 << (2 * FRACTION_BITS - 1)


def random_crop(images: Images, offsets: npt.NDArray[np.uint8], padding: int) -> Images:
    """Puts zeros around each image and cuts its size out again, each image at its own offset.

    Args:
        images: uint8 `(batch, height, width, channels)`.
        offsets: uint8 `(batch, 2)`, row and column of the cut's corner, 0 to 2 * padding; `padding` means no shift.
        padding: pixels of zeros on each side, 1 or more.

    Returns:
        uint8, shape of `images`.

    Example:
        >>> random_crop(np.array([[[[1], [2]], [[3], [4]]]], np.uint8), np.array([[2, 1]], np.uint8), 1)[0, :, :, 0]
        array([[3, 4],
               [0, 0]], dtype=uint8)
    """
    n, h, w, c = images.shape
    padded = np.zeros((n, h + 2 * padding, w + 2 * padding, c), np.uint8)
    padded[:, padding : padding + h, padding : padding + w] = images
    by_image, by_row, by_column, by_byte = padded.strides
    # A view of every possible cut, rows as unbroken runs of bytes: picking one an image copies whole rows.
    cuts = as_strided(
        padded,
        shape=(n, 2 * padding + 1, 2 * padding + 1, h, w * c),
        strides=(by_image, by_row, by_column, by_row, by_byte),
        writeable=False,
    )
    picked: Images = cuts[np.arange(n), offsets[:, 0], offsets[:, 1]]
    return picked.reshape(images.shape)


def flip_left_right(images: Images, flips: npt.NDArray[np.bool_]) -> Images:
    """Mirrors the marked images left to right.

    Args:
        images: uint8 `(batch, height, width, channels)`.
        flips: bool `(batch,)`.

    Returns:
        uint8, a copy with the marked images mirrored.

    Example:
        >>> flip_left_right(np.array([[[[1], [2]]], [[[1], [2]]]], np.uint8), np.array([True, False]))[:, 0, :, 0]
        array([[2, 1],
               [1, 2]], dtype=uint8)
    """
    flipped = images.copy()
    marked = images[flips]
    for channel in range(images.shape[3]):  # one channel at a time: reversing pixels of 3 bytes is 3 times slower
        flipped[flips, :, :, channel] = marked[:, :, ::-1, channel]
    return flipped


def rotation_terms(angles: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Cosine and sine of angles in degrees, times 2**16, rounded: int32 `(n, 2)`, the same for every pipeline."""
    radians = np.deg2rad(angles.astype(np.float64))
    terms = np.stack([np.cos(radians), np.sin(radians)], axis=-1)
    rounded: npt.NDArray[np.int32] = np.rint(terms * (1 << ANGLE_BITS)).astype(np.int32)
    return rounded


def rotate(images: Images, angles: npt.NDArray[np.float32]) -> Images:
    """Rotates each image about its centre, bilinear, zeros outside.

    The place each pixel comes from is rounded to 1/2048 pixel and the interpolated value to the nearest grey level.

    Args:
        images: uint8 `(batch, height, width, channels)`, sides up to 4,096.
        angles: float32 `(batch,)`, degrees, counter-clockwise.

    Returns:
        uint8, shape of `images`.

    Example:
        >>> rotate(np.array([[[[1], [2]], [[3], [4]]]], np.uint8), np.array([90], np.float32))[0, :, :, 0]
        array([[2, 4],
               [1, 3]], dtype=uint8)
    """
    n, h, w, c = images.shape
    terms = rotation_terms(angles)[:, :, None, None]
    # Distances from the centre are counted in half pixels, so sources are multiples of 2**-17 pixel.
    down = np.arange(1 - h, h, 2, dtype=np.int32)[:, None]
    right = np.arange(1 - w, w, 2, dtype=np.int32)
    y = terms[:, 0] * down + terms[:, 1] * right + ((h - 1) << ANGLE_BITS)
    x = terms[:, 0] * right - terms[:, 1] * down + ((w - 1) << ANGLE_BITS)
    shift = ANGLE_BITS + 1 - FRACTION_BITS
    y, x = (y + (1 << (shift - 1))) >> shift, (x + (1 << (shift - 1))) >> shift
    fy, fx = y & (_ONE - 1), x & (_ONE - 1)
    y, x = np.clip(y >> FRACTION_BITS, -2, h) + 2, np.clip(x >> FRACTION_BITS, -2, w) + 2
    at = (np.arange(n)[:, None, None] * (h + 4) + y) * (w + 4) + x
    # Two rows and columns of zeros around the image hold every neighbour of a source outside it.
    planes = np.zeros((c, n, h + 4, w + 4), np.int32)
    planes[:, :, 2:-2, 2:-2] = np.moveaxis(images, 3, 0)
    rotated = np.empty_like(images)
    for channel in range(c):
        flat = planes[channel].ravel()
        # "clip" spares the check of each index; all of them are inside.
        corners = (flat.take(at + step, mode="clip") for step in (0, 1, w + 4, w + 5))
        top, bottom = _between(next(corners), next(corners), fx), _between(next(corners), next(corners), fx)
        rotated[..., channel] = (_between(top, bottom, fy) + _HALF) >> (2 * FRACTION_BITS)
    return rotated


def _between(
    first: npt.NDArray[np.int32], second: npt.NDArray[np.int32], weight: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Interpolates, times 2**11: `(2**11 - weight) * first + weight * second` with one product less."""
    return (first << FRACTION_BITS) + weight * (second - first)


def pad_to(images: Images, size: int) -> Images:
    """Puts zeros around images until they are `size` high and wide; an odd row or column goes below or to the right.

    Args:
        images: uint8 `(batch, height, width, channels)`, neither side above `size`.
        size: pixels.

    Returns:
        uint8 `(batch, size, size, channels)`.

    Raises:
        ValueError: an image is larger than `size`.

    Example:
        >>> pad_to(np.ones((1, 1, 2, 1), np.uint8), 3)[0, :, :, 0]
        array([[0, 0, 0],
               [1, 1, 0],
               [0, 0, 0]], dtype=uint8)
    """
    n, h, w, c = images.shape
    if size < max(h, w):
        raise ValueError(f"size: expected {max(h, w)} or more to pad images of {h}x{w}. Received: size={size!r}")
    padded = np.zeros((n, size, size, c), np.uint8)
    top, left = (size - h) // 2, (size - w) // 2
    padded[:, top : top + h, left : left + w] = images
    return padded


def resize_taps(size_in: int, size_out: int) -> tuple[npt.NDArray[np.int32], ...]:
    """Which two pixels each resized pixel lies between, and how far, along one side.

    Pixel `i` lies at `(i + 0.5) * size_in / size_out - 0.5` (half-pixel centres); past the edge the edge is repeated.

    Args:
        size_in: pixels before.
        size_out: pixels after.

    Returns:
        Three int32 `(size_out,)`: first pixel, second pixel, weight of the second times 2**11, rounded.

    Example:
        >>> [taps.tolist() for taps in resize_taps(2, 4)]
        [[0, 0, 0, 1], [0, 1, 1, 1], [1536, 512, 1536, 512]]
    """
    place = (2 * np.arange(size_out, dtype=np.int64) + 1) * size_in - size_out  # in units of 1 / (2 * size_out) pixel
    first = place // (2 * size_out)
    weight = ((place % (2 * size_out)) * _ONE + size_out) // (2 * size_out)
    taps = np.clip(first, 0, size_in - 1), np.clip(first + 1, 0, size_in - 1), weight
    return tuple(tap.astype(np.int32) for tap in taps)


def resize_bilinear(images: Images, size: int) -> Images:
    """Resizes to `size` high and wide: bilinear, half-pixel centres, no antialiasing, rounded to grey levels.

    Args:
        images: uint8 `(batch, height, width, channels)`.
        size: pixels, 1 or more.

    Returns:
        uint8 `(batch, size, size, channels)`.

    Raises:
        ValueError: `size` is below 1.

    Example:
        >>> resize_bilinear(np.array([[[[0], [100]]]], np.uint8), 4)[0, 0, :, 0]
        array([  0,  25,  75, 100], dtype=uint8)
    """
    if size < 1:
        raise ValueError(f"size: expected 1 or more. Received: size={size!r}")
    top, bottom, fy = resize_taps(images.shape[1], size)
    left, right, fx = resize_taps(images.shape[2], size)
    fy, fx = fy[:, None, None], fx[:, None]
    resized = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    # One image at a time stays in the cache, and columns come first, while the image is small. Nothing is rounded
    # between the two sides, so their order moves no value.
    for i, image in enumerate(images.astype(np.int32)):
        columns = _between(image[:, left], image[:, right], fx)
        resized[i] = (_between(columns[top], columns[bottom], fy) + _HALF) >> (2 * FRACTION_BITS)
    return resized
