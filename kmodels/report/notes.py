"""What stands under a table: what its words mean, what is unfinished, and why each verdict is what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kmodels.plural import counted
from kmodels.report.line import Line
from kmodels.report.wording import number
from kmodels.spec.claims import MEASURES
from kmodels.spec.experiment import Experiment

__all__ = ["ADDED", "added_note", "on_test_images_note", "quick_note", "reasons", "unfinished"]

ADDED = "not in the report: a quirk of it mended, or a further question"
"""What a cell that is marked as added is."""


def on_test_images_note(shown: Sequence[Line], experiment: Experiment) -> Iterator[str]:
    """Yields which cells have no validation images but the test images, where that gives a measure another name."""
    renamed = dict.fromkeys(line.row.cell for line in shown if line.measure != MEASURES[line.row.measure])
    if renamed:
        cells = ", ".join(map(experiment.shown, renamed))
        yield f"Validated on the test images, and so called test accuracy or loss, not validation: {cells}."


def added_note(experiment: Experiment) -> Iterator[str]:
    """Yields what the mark behind cells of ours means, where there are any."""
    if experiment.repaired:
        yield f"(added): {ADDED}."


def quick_note(experiment: Experiment) -> str:
    """Returns what the quick protocol changes, and what it is good for."""
    changes = ", ".join(f"{name}={value}" for name, value in (experiment.quick or {}).items())
    return (
        f"Quick protocol ({changes or 'as declared'}): shows that it runs and which way it points, "
        "not whether the report is right."
    )


def unfinished(shown: Sequence[Line]) -> Iterator[str]:
    """Yields the cells with seeds that lack folds, each once."""
    told = set()
    for row, sample in ((line.row, line.sample) for line in shown):
        if row.cell in told or not sample.partial:
            continue
        told.add(row.cell)
        parts = ", ".join(f"seed {seed} has {n} of {sample.wanted} folds" for seed, n in sample.partial.items())
        seeds = counted(len(sample.folds), "seed")
        yield f"Unfinished, not counted: {row.cell} has {seeds} complete; {parts}."


def reasons(shown: Sequence[Line]) -> Iterator[str]:
    """Yields why each of the report's rows has its verdict."""
    measured = Counter((line.row.id, line.row.cell) for line in shown)
    for row, verdict, measure in ((line.row, line.verdict, line.measure) for line in shown):
        what = f"{row.id}, {row.cell}" + (f", {measure.label}" if measured[row.id, row.cell] > 1 else "")
        if row.id and verdict.reason:
            yield f"{what}: {verdict.word}: {verdict.reason}."
        elif row.id and verdict.interval is not None:
            low, high = number(verdict.interval.low, measure), number(verdict.interval.high, measure)
            other = row.reported.other_images if row.reported is not None else None
            where = f"{low} … {high}" + ("" if other is None else f", measured on {other:,} other images")
            yield f"{what}: {verdict.word}: 95 of 100 single runs are expected in {where}."
