"""`kmodels.geometry` in PyTorch: the same bytes, from operations that can be recorded and that stay on the device.

Blocks of memory are picked by `index_select`, which copies them whole: indexing pixel by pixel takes ten times as long
on a CPU. What follows from sizes is computed where it is used: a constant would have to be copied to the device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from kmodels.geometry import ANGLE_BITS, FRACTION_BITS

__all__ = ["flip_left_right", "pad_to", "random_crop", "resize_bilinear", "rotate"]

_ONE, _HALF = 1 << FRACTION_BITS, 1 << (2 * FRACTION_BITS - 1)


def random_crop(images: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Puts zeros around each image and cuts its size out again, each image at its own offset.

    Args:
        images: uint8 `(batch, height, width, channels)`.
        offsets: uint8 `(batch, 2)`, row and column of the cut's corner, 0 to 2 * padding.
        padding: pixels of zeros on each side, 1 or more.

    Returns:
        uint8, shape of `images`.
    """
    n, h, w, c = images.shape
    tall, wide = h + 2 * padding, w + 2 * padding
    padded = pad(images, (0, 0, padding, padding, padding, padding))
    # A view of every run of `w` pixels in memory, wherever it begins: one is picked for each row.
    runs = padded.as_strided((n * tall * wide - w + 1, w * c), (c, 1))
    down = torch.arange(h, device=images.device)
    top, left = (offsets[:, side : side + 1].to(torch.int64) for side in (0, 1))
    rows = torch.arange(n, device=images.device)[:, None] * tall + top + down
    return runs.index_select(0, (rows * wide + left).reshape(-1)).reshape(images.shape)


def flip_left_right(images: Tensor, flips: Tensor) -> Tensor:
    """Mirrors the marked images left to right.

    Args:
        images: uint8 `(batch, height, width, channels)`.
        flips: bool `(batch,)`.

    Returns:
        uint8, shape of `images`.
    """
    # Both of each image, then a pick of whole images: choosing pixel by pixel takes four times as long.
    n = len(images)
    both = torch.cat([images, images.flip(2)])
    return both.index_select(0, torch.arange(n, device=images.device) + n * flips)


def rotate(images: Tensor, terms: Tensor) -> Tensor:
    """Rotates each image about its centre, bilinear, zeros outside.

    Args:
        images: uint8 `(batch, height, width, channels)`, sides up to 4,096.
        terms: int32 `(batch, 2)`, from `kmodels.geometry.rotation_terms`.

    Returns:
        uint8, shape of `images`.
    """
    n, h, w, c = images.shape
    cos, sin = terms[:, 0, None, None], terms[:, 1, None, None]
    # Distances from the centre are counted in half pixels, so sources are multiples of 2**-17 pixel.
    down = torch.arange(1 - h, h, 2, dtype=torch.int32, device=images.device)[:, None]
    right = torch.arange(1 - w, w, 2, dtype=torch.int32, device=images.device)
    shift = ANGLE_BITS + 1 - FRACTION_BITS
    half = 1 << (shift - 1)
    y = (cos * down + sin * right + (((h - 1) << ANGLE_BITS) + half)) >> shift
    x = (cos * right - sin * down + (((w - 1) << ANGLE_BITS) + half)) >> shift
    fy, fx = (y & (_ONE - 1)).reshape(-1), (x & (_ONE - 1)).reshape(-1)
    y, x = (y >> FRACTION_BITS).clamp(-2, h) + 2, (x >> FRACTION_BITS).clamp(-2, w) + 2
    first = torch.arange(n, dtype=torch.int32, device=images.device)[:, None, None] * (h + 4)
    at = ((first + y) * (w + 4) + x).reshape(-1)
    # Two rows and columns of zeros around the image hold every neighbour of a source outside it.
    padded = pad(images, (0, 0, 2, 2, 2, 2))
    corners = [at, at + 1, at + (w + 4), at + (w + 5)]
    rotated = []
    for channel in range(c):  # single bytes are picked four times as fast as pixels of several
        flat = padded[..., channel].reshape(-1)
        a, b, below_a, below_b = (flat.index_select(0, corner).to(torch.int32) for corner in corners)
        value = _between(_between(a, b, fx), _between(below_a, below_b, fx), fy)
        rotated.append(((value + _HALF) >> (2 * FRACTION_BITS)).to(torch.uint8))
    return torch.stack(rotated, -1).reshape(images.shape)


def pad_to(images: Tensor, height: int, width: int) -> Tensor:
    """Puts zeros around images; an odd row or column goes below or to the right.

    Args:
        images: uint8 `(batch, h, w, channels)`.
        height: pixels, `h` or more.
        width: pixels, `w` or more.

    Returns:
        uint8 `(batch, height, width, channels)`.
    """
    high, wide = height - images.shape[1], width - images.shape[2]
    return pad(images, (0, 0, wide // 2, wide - wide // 2, high // 2, high - high // 2))


def resize_bilinear(images: Tensor, height: int, width: int) -> Tensor:
    """Resizes images: bilinear, half-pixel centres, no antialiasing, rounded to grey levels.

    Args:
        images: uint8 `(batch, h, w, channels)`.
        height: pixels, 1 or more.
        width: pixels, 1 or more.

    Returns:
        uint8 `(batch, height, width, channels)`.
    """
    top, bottom, fy = _taps(images.shape[1], height, images.device)
    left, right, fx = _taps(images.shape[2], width, images.device)
    pixels = images.to(torch.int32)
    columns = _between(pixels.index_select(2, left), pixels.index_select(2, right), fx[:, None])
    rows = _between(columns.index_select(1, top), columns.index_select(1, bottom), fy[:, None, None])
    return ((rows + _HALF) >> (2 * FRACTION_BITS)).to(torch.uint8)


def _taps(size_in: int, size_out: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """See `kmodels.geometry.resize_taps`."""
    place = (2 * torch.arange(size_out, device=device) + 1) * size_in - size_out
    first = place.div(2 * size_out, rounding_mode="floor")
    weight = ((place - first * (2 * size_out)) * _ONE + size_out).div(2 * size_out, rounding_mode="floor")
    return first.clamp(0, size_in - 1), (first + 1).clamp(0, size_in - 1), weight.to(torch.int32)


def _between(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    return (first << FRACTION_BITS) + weight * (second - first)
