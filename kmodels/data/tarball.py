"""Files out of a gzipped tarball that nobody vouches for, into memory: nothing is ever unpacked to disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from kmodels.data.errors import DataDamaged

__all__ = ["read_members"]

_MOST_MEMBERS = 1_000
_SPARE_BYTES = 16 * 2**20


class _Limited(io.RawIOBase):
    """A stream that refuses to give more than a number of bytes, whatever the sizes in the tarball's headers say."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._left:
            raise ValueError("it unpacks to more bytes than it should hold")
        content = self._stream.read(size)
        self._left -= len(content)
        return content


def read_members(path: Path, wanted: Mapping[str, int], name: str) -> dict[str, bytes]:
    """Returns the contents of some files of a `.tgz`, by file name without folders.

    Args:
        path: the tarball.
        wanted: file name -> the most bytes it may have.
        name: what to call the tarball in an error.

    Returns:
        The contents of those of the wanted files that are there.

    Raises:
        DataDamaged: it is truncated or no such tarball; a member is a link or a device, or has an absolute name or one
            with `..`; a wanted file is there twice or too large; or it holds much more than the wanted files.
    """
    contents: dict[str, bytes] = {}
    limit = sum(wanted.values()) + _SPARE_BYTES
    try:
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as plain:
            limited = _Limited(plain, limit)
            with tarfile.open(fileobj=limited, mode="r|") as archive:
                for number, member in enumerate(archive):
                    _check_member(member, number)
                    short = PurePosixPath(member.name).name
                    if short not in wanted or not member.isreg():
                        continue
                    if short in contents or member.size > wanted[short]:
                        raise ValueError(f"{short}: it is there twice, or larger than {wanted[short]} bytes")
                    file = archive.extractfile(member)
                    contents[short] = file.read() if file is not None else b""
                    if len(contents[short]) != member.size:
                        raise EOFError(f"{short} ends early")
            while limited.read(2**16):  # to the end, where gzip compares its checksum
                pass
    except (tarfile.TarError, ValueError, EOFError, zlib.error, OSError) as error:
        expected = "a gzipped tarball of plain files with relative names"
        raise DataDamaged(f"{name}: expected {expected}. {type(error).__name__}: {error}") from error
    return contents


def _check_member(member: tarfile.TarInfo, number: int) -> None:
    if number >= _MOST_MEMBERS:
        raise ValueError(f"it has more than {_MOST_MEMBERS} members")
    if not (member.isreg() or member.isdir()):
        raise ValueError(f"{member.name!r} is a link or a device")
    parts = member.name.replace("\\", "/").split("/")
    if parts[0] == "" or ":" in parts[0] or ".." in parts:
        raise ValueError(f"{member.name!r} points out of its folder")
