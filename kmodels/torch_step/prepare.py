"""`kmodels.augment.apply` in PyTorch, inside a training step: gathers resident images, augments and normalises them.

Nothing is read on the host and every shape follows from the arguments' shapes and the transform, so that the same lines
run eagerly, are recorded with the step or are compiled with it. Whole rows of pixels are picked by `index_select`,
which copies them as blocks: indexing pixel by pixel takes ten times as long on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from kmodels.augment import Transform
from kmodels.checks import require
from kmodels.geometry import ANGLE_BITS, FRACTION_BITS

__all__ = ["prepare"]

_ONE, _HALF = 1 << FRACTION_BITS, 1 << (2 * FRACTION_BITS - 1)


def prepare(images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], transform: Transform) -> tuple[Tensor, Tensor]:
    """Gathers a batch from the resident images, augments and normalises it.

    Crops, flips, rotations, padding and resizing are the bytes of `kmodels.augment.apply`. Normalised values are its
    values too where PyTorch runs as it is; a compiler that fuses a product and a sum moves them by less than 1e-6.

    Args:
        images: uint8 `(n, height, width, channels)`, all resident images, contiguous.
        labels: `(n, ...)`, on the device of `images`, as everything in `draws`.
        draws: `indices`, integer `(batch,)`, which images; to augment them also what `kmodels.augment.Draws` has for
            them: `offsets`, uint8 `(batch, 2)`, `flips`, bool `(batch,)`, and in place of angles their `terms`, int32
            `(batch, 2)`, from `kmodels.geometry.rotation_terms`. With `indices` alone nothing is augmented.
        transform: what to do; its fields decide what is recorded.

    Returns:
        Images, float32 `(batch, height, width, channels)`, contiguous, of the size that `transform.output_shape` says;
        and their labels.

    Raises:
        ValueError: the images do not fit the transform, or the draws are not those of this transform.

    Example:
        >>> images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
        >>> unit = Transform(mean=(0.0,), std=(1.0,))
        >>> batch, labels = prepare(images, torch.arange(3), {"indices": torch.tensor([2, 1])}, unit)
        >>> batch.flatten(), labels
        (tensor([1.0000, 0.2000]), tensor([2, 1]))
    """
    require(images.dtype == torch.uint8, "images", "dtype uint8", images.dtype)
    size = transform.output_shape(tuple(images.shape[1:]))[:2]
    given = set(draws) - {"indices"}
    if given:
        wanted = {"offsets": transform.crop_padding, "flips": transform.flip, "terms": transform.rotation_degrees}
        expected = {name for name, on in wanted.items() if on}
        require(given == expected, "draws", f"{sorted(expected)} besides the indices", sorted(given))
    batch = images.index_select(0, draws["indices"])
    if "offsets" in draws:
        batch = _random_crop(batch, draws["offsets"], transform.crop_padding)
    if "flips" in draws:
        batch = _flip_left_right(batch, draws["flips"])
    if "terms" in draws:
        batch = _rotate(batch, draws["terms"])
    if tuple(batch.shape[1:3]) != size:
        batch = _pad_to(batch, size[0]) if transform.resize == "pad" else _resize_bilinear(batch, size[0])
    return _normalise(batch, transform), labels.index_select(0, draws["indices"])


def _random_crop(images: Tensor, offsets: Tensor, padding: int) -> Tensor:
    n, h, w, c = images.shape
    tall, wide = h + 2 * padding, w + 2 * padding
    padded = pad(images, (0, 0, padding, padding, padding, padding))
    # A view of every run of `w` pixels in memory, wherever it begins: picking one a row copies whole rows.
    runs = padded.as_strided((n * tall * wide - w + 1, w * c), (c, 1))
    down = torch.arange(h, device=images.device)
    top, left = (offsets[:, side : side + 1].to(torch.int64) for side in (0, 1))
    rows = torch.arange(n, device=images.device)[:, None] * tall + top + down
    return runs.index_select(0, (rows * wide + left).reshape(-1)).reshape(images.shape)


def _flip_left_right(images: Tensor, flips: Tensor) -> Tensor:
    # Both of each image, then a pick of whole images: choosing pixel by pixel takes four times as long.
    n = len(images)
    both = torch.cat([images, images.flip(2)])
    return both.index_select(0, torch.arange(n, device=images.device) + n * flips)


def _rotate(images: Tensor, terms: Tensor) -> Tensor:
    n, h, w, c = images.shape
    cos, sin = terms[:, 0, None, None], terms[:, 1, None, None]
    # Distances from the centre are counted in half pixels, so sources are multiples of 2**-17 pixel.
    down = torch.arange(1 - h, h, 2, dtype=torch.int32, device=images.device)[:, None]
    right = torch.arange(1 - w, w, 2, dtype=torch.int32, device=images.device)
    shift = ANGLE_BITS + 1 - FRACTION_BITS
    half = 1 << (shift - 1)
    y = (cos * down + sin * right + (((h - 1) << ANGLE_BITS) + half)) >> shift
    x = (cos * right - sin * down + (((w - 1) << ANGLE_BITS) + half)) >> shift
    fy, fx = (y & (_ONE - 1)).reshape(-1, 1), (x & (_ONE - 1)).reshape(-1, 1)
    y, x = (y >> FRACTION_BITS).clamp(-2, h) + 2, (x >> FRACTION_BITS).clamp(-2, w) + 2
    at = ((torch.arange(n, device=images.device)[:, None, None] * (h + 4) + y) * (w + 4) + x).reshape(-1)
    # Two rows and columns of zeros around the image hold every neighbour of a source outside it; a pixel and the next
    # lie side by side and are picked at once.
    pairs = pad(images, (0, 0, 2, 2, 2, 2)).as_strided((n * (h + 4) * (w + 4) - 1, 2 * c), (c, 1))
    top, bottom = (pairs.index_select(0, at + below).to(torch.int32) for below in (0, w + 4))
    above, beneath = (_between(pair[:, :c], pair[:, c:], fx) for pair in (top, bottom))
    return ((_between(above, beneath, fy) + _HALF) >> (2 * FRACTION_BITS)).to(torch.uint8).reshape(images.shape)


def _pad_to(images: Tensor, size: int) -> Tensor:
    top, left = ((size - side) // 2 for side in images.shape[1:3])
    below, after = size - images.shape[1] - top, size - images.shape[2] - left
    return pad(images, (0, 0, left, after, top, below))


def _resize_bilinear(images: Tensor, size: int) -> Tensor:
    top, bottom, fy = _taps(images.shape[1], size, images.device)
    left, right, fx = _taps(images.shape[2], size, images.device)
    pixels = images.to(torch.int32)
    columns = _between(pixels.index_select(2, left), pixels.index_select(2, right), fx[:, None])
    rows = _between(columns.index_select(1, top), columns.index_select(1, bottom), fy[:, None, None])
    return ((rows + _HALF) >> (2 * FRACTION_BITS)).to(torch.uint8)


def _taps(size_in: int, size_out: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """`kmodels.geometry.resize_taps`, computed where it is used: a constant would have to be copied to the device."""
    place = (2 * torch.arange(size_out, device=device) + 1) * size_in - size_out
    first = place.div(2 * size_out, rounding_mode="floor")
    weight = ((place - first * (2 * size_out)) * _ONE + size_out).div(2 * size_out, rounding_mode="floor")
    return first.clamp(0, size_in - 1), (first + 1).clamp(0, size_in - 1), weight.to(torch.int32)


def _between(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    return (first << FRACTION_BITS) + weight * (second - first)


def _normalise(images: Tensor, transform: Transform) -> Tensor:
    n, h, w, c = images.shape
    scales = [1.0 / (255.0 * std) for std in transform.std]
    shifts = [-mean / std for mean, std in zip(transform.mean, transform.std, strict=True)]
    values = images.reshape(n, h * w * c).to(torch.float32)
    # In place, since the values are nobody else's: a second large array costs as much as the arithmetic.
    return values.mul_(_per_value(scales, values, h * w)).add_(_per_value(shifts, values, h * w)).reshape(n, h, w, c)


def _per_value(per_channel: list[float], values: Tensor, area: int) -> Tensor | float:
    """What each value of an image is multiplied by or gets added: tiled, since repeating 3 numbers a pixel is slow."""
    if len(set(per_channel)) == 1:
        return per_channel[0]
    return torch.stack([values.new_full((), number) for number in per_channel]).repeat(area)
