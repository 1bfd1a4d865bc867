"""What to train: plain frozen values, standard library only.

`Recipe` says how one network is trained, `Experiment` which recipes answer one question and what is said of them.
Nothing here trains, reads files or imports Keras, so a script's declarations load in milliseconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kmodels.checks import require
from kmodels.spec.claims import MEASURES, Claim, Measure, Row
from kmodels.spec.recipe import Precision, Recipe, Schedule, Split

__all__ = ["Experiment", "Precision", "Recipe", "Schedule", "Split", "grid"]


def grid(**axes: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Returns the cells of a full grid: the name of each is its changes, such as `dropout=0.4`.

    Args:
        **axes: a field of the recipe or an argument of its builder, and the values it takes.

    Raises:
        ValueError: an axis has no values or a value twice.

    Example:
        >>> grid(dropout=[0.0, 0.4])
        {'dropout=0.0': {'dropout': 0.0}, 'dropout=0.4': {'dropout': 0.4}}
    """
    for name, values in axes.items():
        require(
            len(values) > 0 and len(set(map(repr, values))) == len(values),
            name,
            "different values, at least one",
            values,
        )
    combinations = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    return {", ".join(f"{k}={v}" for k, v in changes.items()): changes for changes in combinations}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One question: a base recipe, the cells that vary it, and what is said of them.

    Attributes:
        name: folder name of its results; letters, digits and hyphens.
        question: one line for the table's title.
        base: the recipe that every cell changes.
        cells: cell name -> changes (see `Recipe.change`), as the report ran them; none only beside
            `repaired`.
        repaired: further cells that we added: with a quirk of the report mended, or with a further question beside the
            report's, such as twice its epochs; shown beside and marked so, never as the report's.
        rows: the report's rows; each names a cell.
        claims: statements over cells.
        seeds: how many seeds the report protocol trains by default.
        quick: changes that make a run short enough for the quick protocol; None where no cell can rise above chance
            in that time.
        quick_folds: how many folds the quick protocol trains, 1 or 2.
        assumptions: settings that the report does not state, and what was chosen; shown under the table.

    Raises:
        ValueError: a row or claim names an unknown cell or a measure that the cell's runs cannot have, a name is taken
            twice, or a change is not one of the recipe's.
    """

    name: str
    question: str
    base: Recipe
    cells: Mapping[str, Mapping[str, Any]]
    repaired: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: Sequence[Row] = ()
    claims: Sequence[Claim] = ()
    seeds: int = 3
    quick: Mapping[str, Any] | None = None
    quick_folds: int = 2
    assumptions: Sequence[str] = ()

    def __post_init__(self) -> None:
        ok = bool(self.name) and all(c.isalnum() or c == "-" for c in self.name)
        require(ok, "name", "letters, digits and hyphens", self.name)
        require(bool(self.cells or self.repaired), "cells", "at least one cell", self.cells)
        require(self.seeds >= 1, "seeds", "1 or more", self.seeds)
        require(self.quick_folds in (1, 2), "quick_folds", "1 or 2", self.quick_folds)
        twice = set(self.cells) & set(self.repaired)
        require(not twice, "repaired", "names that are not among cells", sorted(twice))
        names = set(self.all_cells())
        used = [r.cell for r in self.rows] + [cell for c in self.claims for pair in c.pairs() for cell in pair]
        for cell in used:
            require(cell in names, "cell", f"one of {', '.join(sorted(names))}", cell)
        folds = {cell: self.recipe(cell).split.folds for cell in names}
        asked = [(r.measure, r.cell) for r in self.rows]
        asked += [(c.measure, cell) for c in self.claims for pair in c.pairs() for cell in pair]
        for measure, cell in asked:
            kept = folds[cell] == 1 or not MEASURES[measure].probabilities
            require(kept, "measure", f"one that runs over folds keep, as {cell!r} has {folds[cell]}", measure)
        if self.quick is not None:
            self.base.change(**self.quick)

    def all_cells(self) -> tuple[str, ...]:
        """Returns the names of all cells, the report's first, then those added."""
        return (*self.cells, *self.repaired)

    def shown(self, cell: str) -> str:
        """Returns a cell's name as readers see it: those that no report has are marked as added."""
        return f"{cell} (added)" if cell in self.repaired else cell

    def measure(self, cell: str, name: str) -> Measure:
        """Returns a measure by its key in `MEASURES`, called after the images that a cell's runs are measured on."""
        found = MEASURES[name]
        return found.on_test_images() if self.recipe(cell).split.kind == "test" else found

    @property
    def only_counts(self) -> bool:
        """Whether all that is asked is counted from the networks, so that how well they train says nothing."""
        asked = [row.measure for row in self.rows] + [claim.measure for claim in self.claims]
        return bool(asked) and all(MEASURES[measure].exact for measure in asked)

    def recipe(self, cell: str, quick: bool = False) -> Recipe:
        """Returns the resolved recipe of a cell.

        Args:
            cell: name of a cell, among `cells` or `repaired`.
            quick: apply the changes of the quick protocol as well.

        Raises:
            ValueError: there is no such cell, or no quick protocol.
        """
        changes = self.cells.get(cell, self.repaired.get(cell))
        if changes is None:
            raise ValueError(f"cell: expected one of {', '.join(self.all_cells())}. Received: cell={cell!r}")
        recipe = self.base.change(**changes)
        if not quick:
            return recipe
        if self.quick is None:
            raise ValueError(f"quick: expected an experiment with a quick protocol. Received: {self.name!r}")
        return recipe.change(**self.quick)
