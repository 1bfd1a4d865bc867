"""Files that others see whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["replacing", "write_atomically", "write_json"]


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


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file as `replacing` does.

    Args:
        path: the file; its folder is made where there is none.
        values: what JSON can hold; numbers of other libraries are written as Python's.

    Raises:
        OSError: it cannot be written; the error names the file, and nothing is left behind.

    Example:
        >>> file = Path(tempfile.mkdtemp()) / "numbers.json"
        >>> write_json(file, {"rate": 0.1})
        >>> json.loads(file.read_text())
        {'rate': 0.1}
    """
    write_atomically(path, (json.dumps(values, default=float, indent=1) + "\n").encode())
