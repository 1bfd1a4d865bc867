"""What a run is made with: library versions, git commit and a digest of the package's own source files."""

from __future__ import annotations

import functools
import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["commit", "sources_digest", "versions"]

_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = ("kmodels", "keras", "numpy", "torch", "jax", "tensorflow-cpu", "tensorflow", "scikit-learn")


@functools.cache
def versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed libraries that can move a number."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@functools.cache
def commit() -> str:
    """Returns the git commit of the checkout the package lies in, with `+changes` if any; empty outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        # an installed copy inside somebody else's repository has no commit of ours
        if not _git("ls-files", "--", str(_PACKAGE / "__init__.py")):
            return ""
        return head + ("+changes" if _git("status", "--porcelain", "--", str(_PACKAGE)) else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=_PACKAGE, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


@functools.cache
def sources_digest() -> str:
    """Returns 16 hexadecimal digits of a sha256 over the package's Python files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
