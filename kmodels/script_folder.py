"""Where a script's results go when nothing else is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["results_folder"]


def results_folder() -> Path:
    """Returns `results` beside the script's folder where that is `experiments` or `tuning`, else in the working folder."""
    folder = Path(sys.argv[0]).resolve().parent
    return (folder.parent if folder.name in ("experiments", "tuning") else Path.cwd()) / "results"
