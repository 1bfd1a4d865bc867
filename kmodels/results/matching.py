"""Which stored runs belong to which cell: those whose resolved recipe is exactly the cell's."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from kmodels.command_line import BACKENDS, PIPELINES
from kmodels.results.runs import REVISION, Run
from kmodels.spec.experiment import Experiment, Recipe

__all__ = ["match_runs", "shown_runs"]


def match_runs(
    experiment: Experiment,
    runs: Iterable[Run],
    *,
    quick: bool,
    backend: str,
    pipeline: str = "memory",
    digests: Mapping[str, str] | None = None,
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
        digests: name of a data set -> the digest that its content must have; any content for a set it does not name.
    """
    candidates, pinned = [], digests or {}
    for run in runs:
        right_kind = run.revision == REVISION and run.backend == backend and run.pipeline == pipeline
        digest = run.data["digest"]
        if right_kind and digest == pinned.get(run.data["name"], digest):
            try:
                candidates.append((Recipe.from_dict(run.recipe), run))
            except ValueError:  # written when Recipe had other fields
                continue
    found: dict[str, dict[tuple[int, int], Run]] = {}
    for cell in experiment.all_cells():
        recipe = experiment.recipe(cell, quick)
        found[cell] = {(run.seed, run.fold): run for other, run in candidates if other == recipe}
    return found


def shown_runs(
    experiment: Experiment,
    runs: Iterable[Run],
    *,
    quick: bool,
    backends: Sequence[str] = BACKENDS,
    pipelines: Sequence[str] = PIPELINES,
    digests: Mapping[str, str] | None = None,
) -> dict[str, dict[tuple[int, int], Run]]:
    """Returns the runs of each cell that a table shows: those of the first pipeline and backend that have any.

    Runs of several are never mixed in one table, which names its own.

    Args:
        experiment: declares the cells.
        runs: stored runs.
        quick: match the quick protocol's recipes.
        backends: in this order.
        pipelines: in this order.
        digests: as for `match_runs`.
    """
    recipes = [experiment.recipe(cell, quick) for cell in experiment.all_cells()]
    asked = {(recipe.model, recipe.dataset) for recipe in recipes}  # spares the reading of most other recipes
    near = [run for run in runs if (run.recipe.get("model"), run.recipe.get("dataset")) in asked]
    for pipeline, backend in itertools.product(pipelines if near else (), backends):
        found = match_runs(experiment, near, quick=quick, backend=backend, pipeline=pipeline, digests=digests)
        if any(found.values()):
            return found
    return {cell: {} for cell in experiment.all_cells()}
