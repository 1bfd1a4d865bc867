"""MNIST's own file format, idx: a magic number, the lengths of the axes, then the values."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

import numpy as np

from kmodels.data.catalog import Facts
from kmodels.data.errors import DataDamaged

__all__ = ["FILES", "idx_bytes", "read_idx"]

FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
"""The names of the four files, by the array each holds, in the order of the content digest."""

_UNSIGNED_BYTES = 0x08


def _axes(key: str, facts: Facts) -> tuple[int, ...]:
    images = facts.train_images if key.endswith("train") else facts.test_images
    return (images, *facts.image_shape[:2]) if key.startswith("x") else (images,)


def idx_bytes(key: str, facts: Facts) -> int:
    """Returns the exact size in bytes of the file that holds the array `key`."""
    axes = _axes(key, facts)
    return 4 + 4 * len(axes) + math.prod(axes)


def read_idx(contents: Mapping[str, bytes], facts: Facts, where: str) -> list[np.ndarray]:
    """Returns `x_train, y_train, x_test, y_test` from the contents of the four files.

    Args:
        contents: what each file holds, by its name in `FILES`.
        facts: the data set they must hold.
        where: what the files were taken from, for the error.

    Raises:
        DataDamaged: a file is missing, or has another type, shape or size.
    """
    arrays = []
    for key, name in FILES.items():
        axes = _axes(key, facts)
        expected = struct.pack(f">{1 + len(axes)}I", _UNSIGNED_BYTES << 8 | len(axes), *axes)
        content = contents.get(name)
        if content is None:
            raise DataDamaged(f"{where}: expected a file {name}. Received: {', '.join(contents) or 'no such files'}")
        if content[: len(expected)] != expected or len(content) != idx_bytes(key, facts):
            raise DataDamaged(
                f"{where}, {name}: expected an idx file of unsigned bytes, shape {axes}, "
                f"{idx_bytes(key, facts)} bytes. Received: {len(content)} bytes beginning {content[:16].hex()}"
            )
        arrays.append(np.frombuffer(content, np.uint8, offset=len(expected)).reshape(axes))
    return arrays
