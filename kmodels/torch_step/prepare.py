"""`kmodels.augment.apply` in PyTorch, inside a training step: gathers resident images, augments and normalises them.

Nothing is read on the host and every shape follows from the arguments' shapes and the transform, so that it can be
recorded with the step. On a CPU all of it is one operator: the bytes are moved in blocks there, and a compiler that
merged the moves into loops over single bytes would make them several times slower. Elsewhere it is traced through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from kmodels.augment import Transform, scale_and_shift
from kmodels.checks import require
from kmodels.torch_step.geometry import flip_left_right, pad_to, random_crop, resize_bilinear, rotate

__all__ = ["prepare", "prepare_traced"]


def prepare(images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], transform: Transform) -> tuple[Tensor, Tensor]:
    """Gathers a batch from the resident images, augments and normalises it.

    Crops, flips, rotations, padding and resizing are the bytes of `kmodels.augment.apply`. So are the normalised values
    on a CPU; a compiler for another device may fuse a product and a sum, which moves them by less than 1e-6.

    Args:
        images: uint8 `(n, height, width, channels)`, all resident images, contiguous.
        labels: `(n, ...)`, on the device of `images`, as everything in `draws`.
        draws: `indices`, integer `(batch,)`, which images; to augment them also what `kmodels.augment.Draws` has for
            them: `offsets`, uint8 `(batch, 2)`, `flips`, bool `(batch,)`, and in place of angles their `terms`, int32
            `(batch, 2)`, from `kmodels.geometry.rotation_terms`. With `indices` alone nothing is augmented.
        transform: what to do.

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
    if images.device.type != "cpu":
        return prepare_traced(images, labels, draws, transform)
    _check(images, draws, transform)
    choices = [draws.get(name) for name in ("offsets", "flips", "terms")]
    fields = (transform.mean, transform.std, transform.image_size, transform.resize, transform.crop_padding)
    prepared: tuple[Tensor, Tensor] = torch.ops.kmodels.prepare(images, labels, draws["indices"], *choices, *fields)
    return prepared


def prepare_traced(
    images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], transform: Transform
) -> tuple[Tensor, Tensor]:
    """`prepare` as the operations it is made of, on any device, for a compiler to merge."""
    _check(images, draws, transform)
    batch = _augment(images, draws, transform)
    area = batch.shape[1] * batch.shape[2]
    scales = [1.0 / (255.0 * std) for std in transform.std]
    shifts = [-mean / std for mean, std in zip(transform.mean, transform.std, strict=True)]
    # Filled on the device: a constant would have to be copied there in each step.
    scale, shift = (
        torch.stack([batch.new_full((), value, dtype=torch.float32) for value in values]).repeat(area)
        for values in (scales, shifts)
    )
    return _normalise(batch, scale, shift), labels.index_select(0, draws["indices"])


def _check(images: Tensor, draws: Mapping[str, Tensor], transform: Transform) -> None:
    require(images.dtype == torch.uint8, "images", "dtype uint8", images.dtype)
    transform.output_shape(tuple(images.shape[1:]))
    given = set(draws) - {"indices"}
    if given:
        wanted = {"offsets": transform.crop_padding, "flips": transform.flip, "terms": transform.rotation_degrees}
        expected = {name for name, on in wanted.items() if on}
        require(given == expected, "draws", f"{sorted(expected)} besides the indices", sorted(given))


def _augment(images: Tensor, draws: Mapping[str, Tensor], transform: Transform) -> Tensor:
    batch = images.index_select(0, draws["indices"])
    if "offsets" in draws:
        batch = random_crop(batch, draws["offsets"], transform.crop_padding)
    if "flips" in draws:
        batch = flip_left_right(batch, draws["flips"])
    if "terms" in draws:
        batch = rotate(batch, draws["terms"])
    height, width = transform.output_shape(tuple(images.shape[1:]))[:2]
    if batch.shape[1:3] == (height, width):
        return batch
    return (pad_to if transform.resize == "pad" else resize_bilinear)(batch, height, width)


def _normalise(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    # As one row an image, since repeating a few numbers a pixel is slow, and in place, since the values are nobody
    # else's and a second large array costs as much as the arithmetic.
    values = images.reshape(len(images), -1).to(torch.float32)
    return values.mul_(scale).add_(shift).reshape(images.shape)


def _prepare_on_cpu(
    images: Tensor,
    labels: Tensor,
    indices: Tensor,
    offsets: Tensor | None,
    flips: Tensor | None,
    terms: Tensor | None,
    mean: Sequence[float],
    std: Sequence[float],
    image_size: int | None,
    resize: str,
    crop_padding: int,
) -> tuple[Tensor, Tensor]:
    transform = _transform(tuple(mean), tuple(std), image_size, resize, crop_padding)
    draws = {"indices": indices, "offsets": offsets, "flips": flips, "terms": terms}
    batch = _augment(images, {name: values for name, values in draws.items() if values is not None}, transform)
    return _normalise(batch, *_factors(transform, batch.shape[1] * batch.shape[2])), labels.index_select(0, indices)


def _shapes(
    images: Tensor,
    labels: Tensor,
    indices: Tensor,
    offsets: Tensor | None,
    flips: Tensor | None,
    terms: Tensor | None,
    mean: Sequence[float],
    std: Sequence[float],
    image_size: int | None,
    resize: str,
    crop_padding: int,
) -> tuple[Tensor, Tensor]:
    shape = _transform(tuple(mean), tuple(std), image_size, resize, crop_padding).output_shape(tuple(images.shape[1:]))
    batch = images.new_empty((indices.shape[0], *shape), dtype=torch.float32)
    return batch, labels.new_empty((indices.shape[0], *labels.shape[1:]))


@lru_cache(maxsize=32)
def _transform(
    mean: tuple[float, ...], std: tuple[float, ...], image_size: int | None, resize: str, crop_padding: int
) -> Transform:
    """What of a transform is not said by which draws there are."""
    return Transform(mean=mean, std=std, image_size=image_size, resize=resize, crop_padding=crop_padding)


@lru_cache(maxsize=32)
def _factors(transform: Transform, area: int) -> tuple[Tensor, Tensor]:
    scale, shift = (torch.from_numpy(per_channel).repeat(area) for per_channel in scale_and_shift(transform))
    return scale, shift


torch.library.define(
    "kmodels::prepare",
    "(Tensor images, Tensor labels, Tensor indices, Tensor? offsets, Tensor? flips, Tensor? terms,"
    " float[] mean, float[] std, int? image_size, str resize, int crop_padding) -> (Tensor, Tensor)",
)
torch.library.impl("kmodels::prepare", "cpu", _prepare_on_cpu)
torch.library.register_fake("kmodels::prepare", _shapes)
