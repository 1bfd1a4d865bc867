"""Data sets that a Debian package has put on the machine."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from kmodels.data.catalog import Facts
from kmodels.data.errors import DataDamaged, SourceUnavailable
from kmodels.data.idx import FILES, idx_bytes, read_idx

__all__ = ["read_debian"]


def read_debian(facts: Facts) -> list[np.ndarray]:
    """Returns `x_train, y_train, x_test, y_test` from the idx files of the data set's Debian package.

    Raises:
        SourceUnavailable: the package is not installed.
        DataDamaged: a file of it is not what it must be.
    """
    if facts.debian is None:
        raise SourceUnavailable(f"no Debian package is known for {facts.name}")
    folder, package = Path(facts.debian[0]), facts.debian[1]
    if not folder.is_dir():
        raise SourceUnavailable(f"the package {package} is not installed (apt install {package})")
    contents = {}
    for key, name in FILES.items():
        path = folder / f"{name}.gz"
        try:
            with gzip.open(path) as file:
                contents[name] = file.read(idx_bytes(key, facts) + 1)  # one more shows a file that is too long
        except (OSError, EOFError, zlib.error) as error:
            raise DataDamaged(f"{path}: expected a gzipped idx file. {type(error).__name__}: {error}") from error
    return read_idx(contents, facts, str(folder))
