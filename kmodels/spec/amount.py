"""How much of an experiment one call is about: protocol, seeds, folds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kmodels.spec.experiment import Experiment
from kmodels.spec.tasks import Task, tasks

__all__ = ["Amount"]


@dataclass(frozen=True)
class Amount:
    """How much of an experiment one call is about.

    Attributes:
        protocol: `report` or `quick`.
        seeds: number of seeds; None for what the protocol says (quick: 1, report: the experiment's `seeds`).
        folds: number of folds; None for what the protocol says (quick: `quick_folds`, report: all of the split).
    """

    protocol: Literal["quick", "report"]
    seeds: int | None = None
    folds: int | None = None

    @property
    def quick(self) -> bool:
        """Whether this is the quick protocol."""
        return self.protocol == "quick"

    def seeds_of(self, experiment: Experiment) -> int:
        """Returns the number of seeds to train."""
        return self.seeds or (1 if self.quick else experiment.seeds)

    def folds_of(self, experiment: Experiment) -> int:
        """Returns the number of folds to train, which a seed needs to count."""
        folds = experiment.base.split.folds
        return min(folds, self.folds or (experiment.quick_folds if self.quick else folds))

    def tasks_of(self, experiment: Experiment) -> list[Task]:
        """Returns all that there is to train, whether it has been or not."""
        return tasks(
            experiment,
            quick=self.quick,
            seeds=self.seeds_of(experiment),
            folds=self.folds_of(experiment),
            cells=experiment.all_cells(),
        )

    def folder(self, results: Path) -> Path:
        """Returns where the runs are: those of the quick protocol live apart."""
        return results / "quick" if self.quick else results
