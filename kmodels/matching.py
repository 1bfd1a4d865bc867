"""Which stored runs belong to which cell: those whose resolved recipe is exactly the cell's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kmodels.results import REVISION, Run
from kmodels.spec import Experiment, Recipe

__all__ = ["match_runs"]


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
