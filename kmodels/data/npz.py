"""Data sets as `.npz` files in the layout of `keras.datasets`: read with suspicion, written atomically."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kmodels.atomic_file import replacing
from kmodels.data.catalog import Facts
from kmodels.data.errors import DataDamaged

__all__ = ["read_npz", "write_npz"]

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_BROKEN = (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


def read_npz(path: Path, facts: Facts) -> list[np.ndarray]:
    """Returns `x_train, y_train, x_test, y_test` as stored; other arrays in the file are not looked at.

    Raises:
        DataDamaged: it is not such a file, an array is of Python objects or larger than it can be, or it cannot be
            read; the message names the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [key for key in _KEYS if f"{key}.npy" not in archive.namelist()]
            if missing:
                stored = ", ".join(archive.namelist()[:8]) or "nothing"
                raise ValueError(f"arrays {', '.join(missing)} are missing. Received: {stored}")
            return [_read_array(archive, key, _limit(key, facts)) for key in _KEYS]
    except (*_BROKEN, OSError) as error:
        expected = "a .npz file with the arrays x_train, y_train, x_test, y_test"
        raise DataDamaged(f"{path}: expected {expected}. {type(error).__name__}: {error}") from error


def _limit(key: str, facts: Facts) -> int:
    images = facts.train_images if key.endswith("train") else facts.test_images
    # 8 bytes: labels may be stored as int64.
    return images * (math.prod(facts.image_shape) if key.startswith("x") else 8)


def _read_array(archive: zipfile.ZipFile, key: str, limit: int) -> np.ndarray:
    # The header is looked at first: reading would allocate whatever size it claims.
    name = f"{key}.npy"
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in header:
            raise ValueError(f"{name}: expected .npy format 1.0 or 2.0. Received: {version}")
        shape, _, dtype = header[version](file)
    if dtype.hasobject or dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integers. Received: dtype={dtype}")
    size = math.prod(shape) * dtype.itemsize
    if size > limit or archive.getinfo(name).file_size > limit + 65_536:
        raise ValueError(f"{name}: expected {limit} bytes or fewer. Received: shape={shape}, dtype={dtype}")
    with archive.open(name) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # reading to the end is also what makes zipfile compare the CRC
            raise ValueError(f"{name}: expected nothing after the array")
    return array


def write_npz(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Writes `x_train, y_train, x_test, y_test` so that others see no file or the whole file, even after a crash.

    Not compressed, so that reading takes a fraction of a second; labels as uint8 and one-channel images without their
    channel axis, as `keras.datasets` has them.

    Raises:
        OSError: it cannot be written; the error names the file, and nothing is left behind.
    """
    x_train, y_train, x_test, y_test = arrays
    if x_train.shape[-1] == 1:
        x_train, x_test = x_train[..., 0], x_test[..., 0]
    y_train, y_test = y_train.astype(np.uint8), y_test.astype(np.uint8)
    with replacing(path) as file:
        np.savez(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
