"""Weights of a finished run in a file beside it, or that file's sha256 alone: plain arrays, no pickle."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LARGEST", "KeptWeights", "keep", "read_weights"]

LARGEST = 1_000_000
"""Bytes of a file that is kept; of larger ones only size and sha256 are, unless more is asked for."""

_NAME, _SHA256 = re.compile(r"[0-9a-f]{20}\.npz"), re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class KeptWeights:
    """What is known of a run's weights.

    Attributes:
        sha256: of the file, 64 hexadecimal digits.
        size: bytes of the file, `bytes` in the run's own file.
        file: its name, beside the run's own file; empty for a larger one, which is at most on the machine that trained.
        content: the file, of a run that has just been trained; None for one that was read, and where it is not kept.

    Raises:
        ValueError: a field is malformed.
    """

    sha256: str
    size: int
    file: str = ""
    content: bytes | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256)):
            raise ValueError(f"sha256: expected 64 hexadecimal digits. Received: sha256={self.sha256!r}")
        if type(self.size) is not int or self.size < 0:
            raise ValueError(f"bytes: expected a whole number, 0 or more. Received: bytes={self.size!r}")
        if not isinstance(self.file, str) or (self.file and not _NAME.fullmatch(self.file)):
            raise ValueError(f"file: expected a run's key and .npz, or nothing. Received: file={self.file!r}")

    def name(self, key: str) -> str:
        """Returns the file's name, also that of a larger one, which is kept out of version control.

        Args:
            key: of the run.
        """
        return self.file or f"{key}.large.npz"

    def as_dict(self) -> dict[str, Any]:
        """Returns all but the content as JSON-ready values."""
        return {"file": self.file, "sha256": self.sha256, "bytes": self.size}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> KeptWeights:
        """Returns what `as_dict` wrote.

        Raises:
            ValueError: a field is missing, unknown or malformed.
        """
        if set(values) != {"file", "sha256", "bytes"}:
            raise ValueError(f"weights: expected file, sha256 and bytes. Received: {sorted(map(str, values))}")
        return cls(values["sha256"], values["bytes"], values["file"])


def keep(arrays: Sequence[tuple[str, np.ndarray]], key: str, *, large: bool = False) -> KeptWeights:
    """Returns the file of some weights, or its sha256 alone where it is larger than `LARGEST`.

    The file is NumPy's `.npz`, not compressed: its bytes depend on names, shapes and values alone.

    Args:
        arrays: name and values of each weight, in the network's order; names may repeat.
        key: of the run.
        large: keep the content of larger files too.

    Example:
        >>> kept = keep([("dense/kernel", np.zeros((2, 3), "float32"))], "0" * 20)
        >>> kept.file, kept.size == len(kept.content)
        ('00000000000000000000.npz', True)
    """
    stream = io.BytesIO()
    # in C's order, however they lie in memory, which differs between backends and is no property of the weights
    numbered = {f"{number:04} {name}": np.array(array, order="C") for number, (name, array) in enumerate(arrays)}
    np.savez(stream, **numbered)  # type: ignore[arg-type]
    content = stream.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    if len(content) > LARGEST:
        return KeptWeights(digest, len(content), content=content if large else None)
    return KeptWeights(digest, len(content), f"{key}.npz", content)


def read_weights(path: Path, kept: KeptWeights) -> list[tuple[str, np.ndarray]]:
    """Returns name and values of each weight in a file, in the network's order.

    Args:
        path: the file.
        kept: what its run says of it.

    Raises:
        ValueError: the file is not the one that the run was stored with; the message names it.
        OSError: it cannot be read.
    """
    if path.stat().st_size != kept.size:
        raise ValueError(f"{path}: expected {kept.size} bytes. Received: {path.stat().st_size}")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != kept.sha256:
        raise ValueError(f"{path}: expected sha256 {kept.sha256}. Received: {digest}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("an array is compressed")  # and might unpack to any size
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return [(name.partition(" ")[2], arrays[name]) for name in arrays.files]
    except (ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"{path}: expected arrays as NumPy stores them. {error}") from error
