"""What the stored runs say of this machine's speed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from kmodels.results.runs import load_runs
from kmodels.running.counting import counted
from kmodels.running.estimates import Speeds, likely_device
from kmodels.spec.experiment import Recipe

__all__ = ["stored_speeds"]


def stored_speeds(recipes: Iterable[Recipe], results: Path, backend: str, warn: Callable[[str], None]) -> Speeds:
    """Returns the speeds of this machine's stored runs, of either protocol.

    Args:
        recipes: those that will be asked about.
        results: results folder.
        backend: Keras backend.
        warn: receives one line for each damaged file.
    """
    runs = [run for folder in (results, results / "quick") for run in load_runs(folder, warn).values()]
    return Speeds.of_runs(runs, counted(recipes), device=likely_device(), backend=backend)
