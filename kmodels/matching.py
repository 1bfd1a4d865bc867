"""Which stored runs belong to which cell: those whose resolved recipe is exactly the cell's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from kmodels.results import REVISION, Run
from kmodels.spec import Experiment, Recipe, Task

__all__ = ["CellRuns", "match_runs", "tasks"]

CellRuns = Mapping[str, Mapping[tuple[int, int], Run]]
"""Runs of an experiment: cell name -> (seed, fold) -> run."""


def match_runs(
    experiment: Experiment,
    runs: Iterable[Run],
    *,
    quick: bool,
    backend: str,
    pipeline: str = "memory",
    digest: str = "",
) -> dict[str, dict[tuple[int, int], Run]]:
    """Returns the runs of each cell, by (seed, fold); a cell that has none maps to an empty dictionary.

    A run counts for every cell with its recipe, whichever experiment trained it. Runs of an earlier `REVISION` or with
    other settings match nothing, so a stale number cannot be shown.

    Args:
        experiment: declares the cells.
        runs: stored runs.
        quick: match the quick protocol's recipes.
        backend: only runs of this Keras backend.
        pipeline: only runs fed by this pipeline.
        digest: only runs on data with this digest; empty for any.
    """
    candidates = []
    for run in runs:
        right_kind = run.revision == REVISION and run.backend == backend and run.pipeline == pipeline
        if right_kind and digest in ("", run.data["digest"]):
            try:
                candidates.append((Recipe.from_dict(run.recipe), run))
            except ValueError:  # written when Recipe had other fields
                continue
    found: dict[str, dict[tuple[int, int], Run]] = {}
    for cell in experiment.all_cells():
        recipe = experiment.recipe(cell, quick)
        found[cell] = {(run.seed, run.fold): run for other, run in candidates if other == recipe}
    return found


def tasks(experiment: Experiment, *, quick: bool, seeds: int, folds: int, cells: Sequence[str]) -> list[Task]:
    """Returns everything a protocol trains, seed by seed, so that an interrupted call leaves whole seeds behind.

    Args:
        experiment: declares the cells.
        quick: train the quick protocol's recipes.
        seeds: number of seeds, counted from 0.
        folds: number of folds of the recipe's split to train, counted from 0; a split with fewer folds trains all.
        cells: names of the cells to train.
    """
    planned = []
    for seed in range(seeds):
        for cell in cells:
            recipe = experiment.recipe(cell, quick)
            for fold in range(min(folds, recipe.split.folds)):
                protocol: Literal["quick", "report"] = "quick" if quick else "report"
                planned.append(
                    Task(experiment=experiment.name, cell=cell, protocol=protocol, recipe=recipe, seed=seed, fold=fold)
                )
    return planned
