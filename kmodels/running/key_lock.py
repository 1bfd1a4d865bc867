"""One process a run: a lock on the run's key that goes with the process, however it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["is_locked", "locked"]

_TRIES, _PAUSE = 3, 0.03  # whoever only asks whether a lock is held holds it for a moment


@contextlib.contextmanager
def locked(folder: Path, key: str) -> Iterator[bool]:
    """Holds the lock of a run's key while the block runs; gives False, at once, where another process holds it.

    The lock is the operating system's (`flock`): one that is killed leaves none behind, only a small file that says
    nothing. On a folder shared over a network it holds between machines where the file system passes locks on, as NFS
    does. Windows has no such lock: there every process is given True, and two may train the same run, which is written
    twice, whole each time.

    Args:
        folder: results folder; the file is `folder/.locks/<key>.lock`.
        key: of the run.

    Raises:
        OSError: the file cannot be written, or the file system has no locks.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with locked(folder, "00") as mine, locked(folder, "00") as twice:
        ...     mine, twice
        (True, False)
    """
    if fcntl is None:
        yield True
        return
    path = _path(folder, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _acquire(path)
    if handle is None:
        yield False
        return
    try:
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())  # for people: who it is
        yield True
    finally:
        path.unlink(missing_ok=True)  # before the lock is given back: afterwards it may be another's
        os.close(handle)


def is_locked(folder: Path, key: str) -> bool:
    """Returns whether some process holds the lock of a key; arguments as those of `locked`."""
    try:
        handle = os.open(_path(folder, key), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return fcntl is not None and not _taken(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _path(folder: Path, key: str) -> Path:
    return folder / ".locks" / f"{key}.lock"


def _acquire(path: Path) -> int | None:
    """Returns the open, locked file; None where another process holds it."""
    refused = 0
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            taken = _taken(handle, fcntl.LOCK_EX)
            if taken and _still(path, handle):
                os.truncate(handle, 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # refused, or locked after its owner had deleted it: somebody may hold a new one
        if not taken:
            refused += 1
            if refused == _TRIES:
                return None
            time.sleep(_PAUSE)


def _taken(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still(path: Path, handle: int) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
