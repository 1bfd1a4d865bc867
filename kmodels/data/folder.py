"""Where data sets are kept between runs: `KMODELS_DATA`, or the platform's cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kmodels.data.errors import DataError

__all__ = ["data_folder"]


def data_folder() -> Path:
    """Returns the folder that holds `<name>.npz` files; it need not exist.

    It is the one named by the environment variable `KMODELS_DATA`, else `kmodels` in the platform's cache folder:
    `$XDG_CACHE_HOME` or `~/.cache` on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.

    Raises:
        DataError: `KMODELS_DATA` names something that is not a folder.
    """
    chosen = os.environ.get("KMODELS_DATA", "")
    if chosen:
        folder = Path(chosen).expanduser()
        if folder.exists() and not folder.is_dir():
            raise DataError(f"KMODELS_DATA: expected a folder. Received: KMODELS_DATA={chosen!r}")
        return folder
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "kmodels"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kmodels"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules say that a relative path there is to be ignored.
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "kmodels"
