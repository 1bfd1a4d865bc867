"""From a picture file or an array to the pixels that a network takes: every conversion stated, nothing guessed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from kmodels.checks import require
from kmodels.geometry import Images, resize_bilinear

__all__ = ["FORMATS", "MOST_BYTES", "MOST_PIXELS", "RESIZES", "as_batch", "fit", "read_image"]

FORMATS = ("PNG", "JPEG", "WEBP")
"""Kinds of files that are read, whatever they are called."""
MOST_BYTES = 64 * 2**20
"""Largest file."""
MOST_PIXELS = 50_000_000
"""Largest picture, height times width; checked before anything is decoded."""
RESIZES = ("pad", "bilinear")
"""Ways to bring a picture to a network's size; see `fit`."""

# ITU-R 601's weights of red, green and blue in 16 bits: together exactly 1, so grey stays what it was
_LUMA = np.array([19595, 38470, 7471], np.uint32)


def read_image(path: str | Path) -> Images:
    """Reads one picture.

    Turned as its EXIF orientation says; transparent parts over white; palettes and CMYK as RGB.

    Args:
        path: a PNG, JPEG or WebP file with one frame, at most `MOST_BYTES` long and `MOST_PIXELS` large.

    Returns:
        uint8 `(height, width, channels)`: 1 channel for grey, 3 for RGB.

    Raises:
        ValueError: no such file, another kind, too large, damaged, or more than 8 bits a channel.
    """
    file = Path(path)
    require(file.is_file(), "image", "a path to a file", str(path))
    size = file.stat().st_size
    require(size <= MOST_BYTES, "image", f"a file of at most {MOST_BYTES} bytes, not {size}", str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            with Image.open(file, formats=FORMATS) as picture:
                width, height = picture.size
                small = height * width <= MOST_PIXELS
                require(small, "image", f"at most {MOST_PIXELS} pixels, not {height}x{width}", str(path))
                require(getattr(picture, "n_frames", 1) == 1, "image", "a picture with one frame", str(path))
                return _eight_bits(ImageOps.exif_transpose(picture), str(path))
    except UnidentifiedImageError as error:
        raise ValueError(f"image: expected a PNG, JPEG or WebP file. Received: image={str(path)!r}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"image: expected at most {MOST_PIXELS} pixels. Received: image={str(path)!r}") from error
    except (OSError, SyntaxError, EOFError) as error:  # what Pillow's decoders raise on damage
        raise ValueError(f"image: expected an undamaged file ({error}). Received: image={str(path)!r}") from error


def _eight_bits(picture: Image.Image, path: str) -> Images:
    modes = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
    require(picture.mode in modes, "image", f"8 bits a channel, not Pillow's mode {picture.mode}", path)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    pixels = np.asarray(picture, np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def as_batch(image: npt.NDArray[np.uint8]) -> Images:
    """Gives an array of one or several pictures its four axes.

    Args:
        image: uint8 `(height, width)`, `(height, width, channels)` or `(n, height, width, channels)`, 1 or 3 channels.

    Returns:
        uint8 `(n, height, width, channels)`, n = 1 for a single picture.

    Raises:
        ValueError: another type or shape, or a picture without pixels or above `MOST_PIXELS`.

    Example:
        >>> as_batch(np.zeros((28, 28), np.uint8)).shape
        (1, 28, 28, 1)
    """
    require(image.dtype == np.uint8, "image", "an array of uint8, 0 to 255", image.dtype.name)
    shapes = "(height, width), (height, width, channels) or (n, height, width, channels), 1 or 3 channels"
    batch = image
    if batch.ndim == 2:
        batch = batch[:, :, None]
    if batch.ndim == 3:
        batch = batch[None]
    require(batch.ndim == 4 and batch.shape[3] in (1, 3) and batch.size > 0, "image", shapes, image.shape)
    small = batch.shape[1] * batch.shape[2] <= MOST_PIXELS
    require(small, "image", f"at most {MOST_PIXELS} pixels a picture", image.shape)
    return batch


def fit(images: Images, shape: tuple[int, int, int], resize: str = "pad") -> Images:
    """Brings pictures to a network's channels and size.

    Grey becomes RGB by repetition, RGB becomes grey by ITU-R 601's luma (0.299 red, 0.587 green, 0.114 blue). Where a
    square network's input is at least as large as the picture, the result is what training's `pad` and `bilinear` give.

    Args:
        images: uint8 `(n, height, width, channels)`, 1 or 3 channels.
        shape: `(height, width, channels)` wanted, 1 or 3 channels.
        resize: `pad` puts zeros around a picture (an odd row or column below or to the right), after shrinking one that
            is too large until it fits, its proportions kept; `bilinear` stretches it to the whole input. Shrinking
            averages over the pixels that fall together.

    Returns:
        uint8 `(n, *shape)`.

    Raises:
        ValueError: an unknown `resize`.

    Example:
        >>> fit(np.full((1, 2, 2, 1), 7, np.uint8), (4, 4, 3))[0, :, :, 2].tolist()
        [[0, 0, 0, 0], [0, 7, 7, 0], [0, 7, 7, 0], [0, 0, 0, 0]]
    """
    require(resize in RESIZES, "resize", "'pad' or 'bilinear'", resize)
    height, width, channels = shape
    if channels < images.shape[3]:
        grey = (images.astype(np.uint32) @ _LUMA + (1 << 15)) >> 16
        images = grey.astype(np.uint8)[..., None]
    elif channels > images.shape[3]:
        images = np.repeat(images, channels, axis=3)
    if images.shape[1:3] == (height, width):
        return images
    if resize == "bilinear":
        return _stretched(images, height, width)
    ratio = min(1.0, height / images.shape[1], width / images.shape[2])
    if ratio < 1.0:
        images = _stretched(images, *(max(1, round(side * ratio)) for side in images.shape[1:3]))
    padded = np.zeros((len(images), *shape), np.uint8)
    top, left = (height - images.shape[1]) // 2, (width - images.shape[2]) // 2
    padded[:, top : top + images.shape[1], left : left + images.shape[2]] = images
    return padded


def _stretched(images: Images, height: int, width: int) -> Images:
    if height == width >= max(images.shape[1:3]):
        return resize_bilinear(images, height)
    # a bare convolution with two taps, as in training, would skip most pixels of a photograph: Pillow widens its filter
    flat = [image[:, :, 0] if image.shape[2] == 1 else image for image in images]
    resized = [Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR) for image in flat]
    return np.stack([np.asarray(image, np.uint8) for image in resized]).reshape(len(images), height, width, -1)
