"""What there is to train: an experiment's cells, times seeds, times folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kmodels.checks import require
from kmodels.spec.experiment import Experiment, Recipe

__all__ = ["Task", "tasks"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training to be done: a recipe with the seed and fold that make it a single run.

    Attributes:
        experiment: name of the experiment that asks for it.
        cell: name of the cell within that experiment.
        protocol: `report` or `quick`.
        recipe: the resolved recipe.
        seed: seed of initial weights, data order, augmentation and dropout, 0 or more.
        fold: index of the validation part, below `recipe.split.folds`.

    Raises:
        ValueError: seed or fold is out of range.
    """

    experiment: str
    cell: str
    protocol: Literal["quick", "report"]
    recipe: Recipe
    seed: int
    fold: int

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", "0 or more", self.seed)
        folds = self.recipe.split.folds
        require(0 <= self.fold < folds, "fold", f"0 to {folds - 1}", self.fold)


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
