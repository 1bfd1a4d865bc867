"""One row of a table: what the report says and what the runs say, as values and as they are written."""

from __future__ import annotations

from dataclasses import dataclass

from kmodels.spec.claims import Measure, Row
from kmodels.stats.inference import Estimate, Sample
from kmodels.stats.verdicts import RowVerdict

__all__ = ["Line"]


@dataclass(frozen=True)
class Line:
    """One row of a table: the values behind it, and how they are written.

    Attributes:
        row: what the report says; its id is empty for a cell that no row names.
        cell: the cell's name as shown.
        measure: what is measured.
        sample: our values.
        estimate: what they come to; None where no seed is complete.
        verdict: what they say of the reported number.
        reported: the reported number.
        ours: ours, or why there is none.
        spread: standard deviation over folds; empty without folds.
        word: the verdict in a word; empty where there is nothing to judge.
    """

    row: Row
    cell: str
    measure: Measure
    sample: Sample
    estimate: Estimate | None
    verdict: RowVerdict
    reported: str
    ours: str
    spread: str
    word: str
