"""Where PyTorch's compiler keeps what it compiled."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["choose_folder"]


def choose_folder() -> None:
    """Sets `TORCHINDUCTOR_CACHE_DIR`, unless a user did, to a folder that outlives a reboot, if there can be one.

    PyTorch itself sets it while Keras is imported, to a folder under /tmp: that one nobody chose.
    """
    chosen = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    if chosen and chosen != _of_pytorch():
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # the XDG rules say that a relative path there is to be ignored
        folder = (caches if caches.is_absolute() else Path.home() / ".cache") / "kmodels" / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # not allowed, or nobody's home
        return
    if os.access(folder, os.W_OK):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)


def _of_pytorch() -> str | None:
    try:
        from torch._inductor.runtime.cache_dir_utils import default_cache_dir
    except ImportError:  # another release: what stands there may be a user's
        return None
    return str(default_cache_dir())
