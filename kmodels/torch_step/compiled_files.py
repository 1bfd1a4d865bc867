"""Where PyTorch's compiler keeps what it compiled."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["choose_folder"]


def choose_folder() -> None:
    """Sets `TORCHINDUCTOR_CACHE_DIR`, unless it is set, to a folder that outlives a reboot, if there can be one.

    To be called before anything is recorded: PyTorch settles for a folder under /tmp while it traces.
    """
    if os.environ.get("TORCHINDUCTOR_CACHE_DIR"):
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
