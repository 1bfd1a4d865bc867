"""Files that others see whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing", "write_atomically"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing that takes its place when the block ends, whole and on disk.

    Other processes, and a crash at any point, see the old content or the new, never a part.

    Args:
        path: the file; its folder is made where there is none.

    Raises:
        OSError: it cannot be written; the error names the file.

    An exception within the block leaves the old content, and nothing beside it.

    Example:
        >>> file = Path(tempfile.mkdtemp()) / "new folder" / "numbers.txt"
        >>> with replacing(file) as out:
        ...     written = out.write(b"1 2 3"), file.exists()
        >>> written, file.read_bytes()
        ((5, False), b'1 2 3')
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno is None:  # NumPy's, for one, are a message alone
            raise OSError(f"{path}: {error}") from error
        if error.filename is None or Path(error.filename).name.startswith(f".{path.name}."):
            error.filename = str(path)  # a full disk does not say whose write failed, nor need the other name be known
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file as `replacing` does.

    Args:
        path: the file; its folder is made where there is none.
        content: the whole of it.

    Raises:
        OSError: it cannot be written; the error names the file, and nothing is left behind.
    """
    with replacing(path) as file:
        file.write(content)
