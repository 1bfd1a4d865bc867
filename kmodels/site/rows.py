"""The reports' rows one by one, as the front page and README list them.

A row of a report may be several numbers: of more than one cell, or of more than one measure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from kmodels.report.document import Line
from kmodels.report.tables import ClaimLines
from kmodels.site.evidence import Evidence, Part, named, natural
from kmodels.stats.verdicts import ClaimVerdict

__all__ = ["VERDICTS", "ReportClaim", "ReportRow", "by_report", "report_claims", "report_rows", "rows_run", "shortened"]

VERDICTS = ("reproduced", "better", "not reproduced", "cannot tell", "not reported", "not run yet")
"""Verdicts on a row, in the order in which they are listed."""


@dataclass(frozen=True)
class ReportRow:
    """One number of a report's row, and where it is answered.

    Attributes:
        line: the row of the experiment's table.
        part: the experiment.
        script: name of its script.
    """

    line: Line
    part: Part
    script: str

    @property
    def id(self) -> str:
        """The row's id."""
        return self.line.row.id

    @property
    def report(self) -> str:
        """The report's letter."""
        return self.id[0]

    @property
    def measure(self) -> str:
        """What is measured, with its unit."""
        return named(self.line.measure)

    @property
    def has_run(self) -> bool:
        """Whether a seed of it is complete."""
        return self.line.estimate is not None

    @property
    def reported_value(self) -> float | None:
        """What the column of reported numbers is sorted by."""
        return None if self.line.row.reported is None else self.line.row.reported.value

    @property
    def our_value(self) -> float | None:
        """What the column of our numbers is sorted by."""
        found = self.line.estimate
        return found.mean if found is not None and math.isfinite(found.mean) else None


@dataclass(frozen=True)
class ReportClaim:
    """One claim, and where it is answered."""

    words: ClaimLines
    judged: ClaimVerdict
    part: Part
    script: str

    @property
    def ours(self) -> bool:
        """Whether no report says it."""
        return self.judged.claim.ours

    @property
    def verdict(self) -> str:
        """The verdict."""
        return self.judged.word


def report_rows(found: Iterable[Evidence]) -> tuple[ReportRow, ...]:
    """Returns all numbers of the reports' rows, by their ids; cells that no row names are left out.

    Two scripts may ask about one row: the same recipe and measure, and so the same runs. It stands here once, with the
    script that comes first.
    """
    rows: dict[tuple[str, str, str], ReportRow] = {}
    for each in found:
        for part in each.parts:
            for line in part.lines:
                number = line.row.id, line.row.measure, repr(part.experiment.recipe(line.row.cell))
                if line.row.id and number not in rows:
                    rows[number] = ReportRow(line, part, each.script.name)
    return tuple(sorted(rows.values(), key=lambda row: natural(row.id)))


def report_claims(found: Iterable[Evidence]) -> tuple[ReportClaim, ...]:
    """Returns all claims, script by script."""
    return tuple(
        ReportClaim(words, judged, part, each.script.name)
        for each in found
        for part in each.parts
        for words, judged in zip(part.table.claims, part.verdicts, strict=True)
    )


def rows_run(rows: Iterable[ReportRow]) -> tuple[int, int]:
    """Returns how many rows have run with all their cells and measures, and how many there are, each id once."""
    done: dict[str, bool] = {}
    for row in rows:
        done[row.id] = done.get(row.id, True) and row.has_run
    return sum(done.values()), len(done)


def by_report(rows: Iterable[ReportRow]) -> dict[str, Counter[str]]:
    """Returns how often each verdict was given, by the report's letter."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.report, Counter())[row.line.word] += 1
    return dict(sorted(counts.items()))


def shortened(ids: Iterable[str]) -> str:
    """Returns ids as text, three or more in a row by the first and the last of them.

    Example:
        >>> shortened(["B-4.3", "B-4.1", "B-4.2", "B-5.3", "A-1.1"])
        'A-1.1, B-4.1 … B-4.3, B-5.3'
    """
    chains: list[list[str]] = []
    for name in sorted(set(ids), key=natural):
        if chains and _follows(chains[-1][-1], name):
            chains[-1].append(name)
        else:
            chains.append([name])
    return ", ".join(f"{c[0]} … {c[-1]}" if len(c) > 2 else ", ".join(c) for c in chains)


def _follows(first: str, second: str) -> bool:
    one, other = natural(first), natural(second)
    return one[:-1] == other[:-1] and one[-1][0] + 1 == other[-1][0] > 1
