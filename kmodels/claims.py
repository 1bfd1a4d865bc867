"""What is said of runs: measures, numbers that a report prints, and claims over cells. Standard library only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kmodels.checks import require

__all__ = ["MEASURES", "Claim", "Measure", "Reported", "Row"]


@dataclass(frozen=True)
class Measure:
    """One thing that is measured of a run: how it is called, its unit and which way is better.

    Attributes:
        label: words for tables and axes.
        unit: `%` for fractions shown as percent, else the unit as text (may be empty).
        higher_is_better: direction in which a claim's "better" points.
        spread: the value of a cell and seed is the standard deviation over folds, not the mean.
    """

    label: str
    unit: str
    higher_is_better: bool
    spread: bool = False


MEASURES: dict[str, Measure] = {
    "validation_accuracy": Measure("validation accuracy", "%", True),
    "test_accuracy": Measure("test accuracy", "%", True),
    "validation_loss": Measure("validation loss", "", False),
    "test_nll": Measure("test negative log-likelihood", "nats", False),
    "train_loss": Measure("training loss", "", False),
    "train_accuracy": Measure("training accuracy", "%", True),
    "validation_accuracy_spread": Measure(
        "validation accuracy, standard deviation over folds", "%", False, spread=True
    ),
    "seconds": Measure("training time", "s", False),
}


@dataclass(frozen=True)
class Reported:
    """A number as a report prints it.

    Attributes:
        value: the number; accuracies as fractions in [0, 1].
        rounding: half a unit of the last printed digit, in the units of `value` ("78.71 %" has 0.00005).
        bound: `point`, or `at least` / `at most` where the report gives only a bound ("over 80 %").
    """

    value: float
    rounding: float = 0.0
    bound: Literal["point", "at least", "at most"] = "point"


@dataclass(frozen=True)
class Row:
    """One row of a report's table: where it stands, which cell trains it, what the report says.

    Attributes:
        id: the row's id in the digest of the reports, such as `A-1.2` or `E-T4`.
        cell: name of a cell of the experiment; rows may share one.
        reported: the number, or None where the report prints none.
        measure: a key of `MEASURES`.

    Raises:
        ValueError: there is no such measure.
    """

    id: str
    cell: str
    reported: Reported | None = None
    measure: str = "validation_accuracy"

    def __post_init__(self) -> None:
        require(self.measure in MEASURES, "measure", f"one of {', '.join(MEASURES)}", self.measure)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement over cells that the runs can confirm or refute.

    Attributes:
        text: the statement in words, beginning with the row id it comes from.
        measure: a key of `MEASURES`; its direction says what "better" means.
        order: cells from best to worst; every neighbour must beat the next.
        best: the first cell must beat each of the others.

    Raises:
        ValueError: not exactly one of `order` and `best` is given, with two cells or more.

    Example:
        >>> Claim(text="B-2: flip beats none", best=["flip", "none"]).pairs()
        (('flip', 'none'),)
    """

    text: str
    measure: str = "validation_accuracy"
    order: Sequence[str] = ()
    best: Sequence[str] = ()

    def __post_init__(self) -> None:
        require(self.measure in MEASURES, "measure", f"one of {', '.join(MEASURES)}", self.measure)
        require(bool(self.order) != bool(self.best), "order, best", "exactly one of the two", (self.order, self.best))
        cells = tuple(self.order or self.best)
        require(len(cells) >= 2 and len(set(cells)) == len(cells), "order, best", "two or more different cells", cells)

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Returns the comparisons that must all hold, as (better cell, worse cell)."""
        if self.order:
            return tuple(itertools.pairwise(self.order))
        return tuple((self.best[0], other) for other in self.best[1:])
