"""Where a script's results go when nothing else is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["results_folder"]


def results_folder() -> Path:
    """Returns `results` beside the folder `experiments` or `tuning` of a script, else in the working folder."""
    folder = Path(sys.argv[0]).resolve().parent
    return (folder.parent if folder.name in ("experiments", "tuning") else Path.cwd()) / "results"
