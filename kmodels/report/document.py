"""From an experiment and its runs to a table as a plain value, all its numbers written out.

Nothing here trains, reads files or invents a number: where nothing has run the table says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from kmodels.report.line import Line
from kmodels.report.notes import added_note, on_test_images_note, quick_note, reasons, unfinished
from kmodels.report.tables import ClaimLines, Table, to_markdown, to_rich
from kmodels.report.wording import counts_line, effect_line, number, ours, p_value, reading, reported
from kmodels.results.provenance import provenance
from kmodels.results.runs import Run
from kmodels.spec.claims import MEASURES, Claim, Row
from kmodels.spec.experiment import Experiment
from kmodels.stats.inference import Runs, Sample, estimate, gather
from kmodels.stats.verdicts import ClaimVerdict, RowVerdict, compare, judge_claims, judge_row

__all__ = ["ClaimLines", "Line", "Protocol", "Table", "claim_lines", "claim_verdicts", "lines", "table"]
__all__ += ["to_markdown", "to_rich"]

Protocol = Literal["report", "quick"]


def lines(
    experiment: Experiment, runs: Mapping[str, Runs], *, folds: int, missing: Mapping[str, str] | None = None
) -> tuple[Line, ...]:
    """Returns the rows of an experiment's table: the report's, then the cells that no row names.

    Args:
        experiment: what was asked.
        runs: cell -> its runs of one protocol by (seed, fold); cells without runs may be left out.
        folds: how many folds a seed needs to count, as for `table`.
        missing: cell -> what to say instead of "not run yet".

    Raises:
        ValueError: a run lacks a score that a row needs.
    """
    rows = [*experiment.rows, *_bare_cells(experiment)]
    return tuple(
        _line(experiment, row, _sample(experiment, runs, row.cell, row.measure, folds), missing or {}) for row in rows
    )


def claim_verdicts(
    parts: Sequence[tuple[Experiment, Mapping[str, Runs], int]],
) -> dict[str, list[ClaimVerdict]]:
    """Returns the verdicts of all claims of a script by experiment, judged together with Holm's correction.

    Time and memory are compared where runs of a seed name the same device and, on a CPU, as many threads; other seeds
    do not count for them.

    Args:
        parts: each experiment of the script, with its runs by cell and the folds that a seed needs (see `table`).
    """
    evidence = [
        (claim, compare(claim, _samples(part, runs, claim, folds)))
        for part, runs, folds in parts
        for claim in part.claims
    ]
    verdicts = iter(judge_claims(evidence))
    return {part.name: [next(verdicts) for _ in part.claims] for part, _, _ in parts}


def _samples(experiment: Experiment, runs: Mapping[str, Runs], claim: Claim, folds: int) -> dict[str, Sample]:
    """The values of the cells that a claim names; other cells may not have its measure."""
    cells = dict.fromkeys(cell for pair in claim.pairs() for cell in pair)
    if MEASURES[claim.measure].of_machine:
        machines: dict[tuple[int, int], set[tuple[str, int]]] = {}
        for cell in cells:
            for place, run in runs.get(cell, {}).items():
                # more threads wait for a GPU no faster
                machine = run.device, run.threads if run.device.startswith("CPU") else 0
                machines.setdefault(place, set()).add(machine)
        runs = {
            cell: {place: run for place, run in runs.get(cell, {}).items() if len(machines[place]) == 1}
            for cell in cells
        }
    return {cell: _sample(experiment, runs, cell, claim.measure, folds) for cell in cells}


def _sample(experiment: Experiment, runs: Mapping[str, Runs], cell: str, measure: str, folds: int) -> Sample:
    return gather(runs.get(cell, {}), measure, min(folds, experiment.recipe(cell).split.folds))


def table(
    experiment: Experiment,
    runs: Mapping[str, Runs],
    *,
    protocol: Protocol,
    folds: int,
    command: str,
    dataset_note: str = "",
    missing: Mapping[str, str] | None = None,
    verdicts: Sequence[ClaimVerdict] | None = None,
) -> Table:
    """Returns the table of an experiment: reported | ours | verdict, its claims, and what stands under it.

    Args:
        experiment: what was asked.
        runs: cell -> its runs of this protocol by (seed, fold); cells without runs may be left out.
        protocol: `report`, or `quick`, which carries no verdicts.
        folds: how many folds a seed needs to count, 1 or more, or all of a cell's split where it has fewer; further
            folds are left out.
        command: the command line that makes these numbers.
        dataset_note: shown in the title, such as "on digits, not mnist"; empty for the recipe's own data.
        missing: cell -> what to say instead of "not run yet".
        verdicts: the claims' verdicts where they were judged together with those of other experiments, as
            `claim_verdicts` returns them; None judges this experiment's claims alone.

    Raises:
        ValueError: runs of a cell that the experiment does not have, or a run without a score that a row needs.
    """
    unknown = set(runs) - set(experiment.all_cells())
    if unknown:
        raise ValueError(f"runs: expected cells among {list(experiment.all_cells())}. Received: {sorted(unknown)!r}")
    shown_lines = lines(experiment, runs, folds=folds, missing=missing)
    folds = max(line.sample.wanted for line in shown_lines)
    measures = list(dict.fromkeys(line.measure for line in shown_lines))
    quick = protocol == "quick"
    columns = {
        "row": True,
        "cell": True,
        "measure": len(measures) > 1,
        "reported": True,
        "ours ± 95 % CI (n)": True,
        "sd over folds": folds > 1,
        "verdict": not quick,
    }
    if verdicts is None:
        verdicts = claim_verdicts([(experiment, runs, folds)])[experiment.name]
    notes = [
        *reading(measures, folds, experiment.base.split.folds),
        *on_test_images_note(shown_lines, experiment),
        *added_note(experiment),
        *([quick_note(experiment)] if quick else []),
        *unfinished(shown_lines),
    ]
    if not quick:
        notes += reasons(shown_lines)
    notes += [f"Assumed, as the report does not say: {line}" for line in experiment.assumptions]
    notes += provenance(_used(runs, folds), folds)
    title = f"{experiment.name}: {experiment.question}"
    extra = "; ".join(filter(None, ("quick protocol" if quick else "", dataset_note)))
    return Table(
        title=f"{title} ({extra})" if extra else title,
        columns=tuple(name for name, wanted in columns.items() if wanted),
        rows=tuple(
            tuple(entry for entry, wanted in zip(_entries(line), columns.values(), strict=True) if wanted)
            for line in shown_lines
        ),
        footnotes=(*notes, f"Made by: {command}"),
        claims=tuple(claim_lines(experiment, verdict, quick) for verdict in verdicts),
    )


def _judged(experiment: Experiment, row: Row, sample: Sample) -> RowVerdict:
    verdict, folds = judge_row(row.reported, sample, MEASURES[row.measure]), experiment.recipe(row.cell).split.folds
    if sample.wanted < folds and verdict.word not in ("not run yet", "not reported"):
        return RowVerdict("cannot tell", f"{sample.wanted} of the {folds} folds that the report's number is over")
    return verdict


def _bare_cells(experiment: Experiment) -> Iterator[Row]:
    """Yields a row without an id for each cell that no row names, measured as the first row is, or the first claim."""
    named = {row.cell for row in experiment.rows}
    measures = [*(row.measure for row in experiment.rows), *(claim.measure for claim in experiment.claims)]
    measure = measures[0] if measures else Row.measure
    yield from (Row("", cell, measure=measure) for cell in experiment.all_cells() if cell not in named)


def _line(experiment: Experiment, row: Row, sample: Sample, missing: Mapping[str, str]) -> Line:
    measure, found = experiment.measure(row.cell, row.measure), estimate(sample)
    verdict = _judged(experiment, row, sample)
    return Line(
        row=row,
        cell=experiment.shown(row.cell),
        measure=measure,
        sample=sample,
        estimate=found,
        verdict=verdict,
        reported=reported(row, measure),
        ours=missing.get(row.cell, "not kept" if sample.unkept else _not_run(experiment, row.cell))
        if found is None
        else ours(found, measure),
        spread="" if found is None or found.sd_folds is None else number(found.sd_folds, measure),
        word="" if row.reported is None and not row.id else verdict.word,
    )


def _entries(line: Line) -> tuple[str, ...]:
    return line.row.id or "–", line.cell, line.measure.label, line.reported, line.ours, line.spread, line.word


def _not_run(experiment: Experiment, cell: str) -> str:
    return "not run yet: needs a GPU" if experiment.recipe(cell).needs_gpu else "not run yet"


def _used(runs: Mapping[str, Runs], folds: int) -> Iterable[Run]:
    return [run for cell in runs.values() for (_, fold), run in sorted(cell.items()) if fold < folds]


def claim_lines(experiment: Experiment, verdict: ClaimVerdict, quick: bool = False) -> ClaimLines:
    """Returns a claim's verdict in words.

    Args:
        experiment: whose claim it is.
        verdict: as `claim_verdicts` gives it.
        quick: leave out verdict and p values, and say which way the runs point.
    """
    claim = verdict.claim
    measure, cells = MEASURES[claim.measure], [cell for pair in claim.pairs() for cell in pair]
    labels = dict.fromkeys(experiment.measure(cell, claim.measure).label for cell in cells)
    text = f"{claim.text} ({' and '.join(labels)})"
    effects = tuple(effect_line(comparison, measure, quick) for comparison in verdict.comparisons)
    if quick:
        return ClaimLines(text, "", _direction(verdict), effects)
    detail = "; ".join(filter(None, (counts_line(verdict.comparisons, measure), verdict.reason)))
    if verdict.p is not None and verdict.p_adjusted is not None:
        over = f" ({p_value(verdict.p_adjusted)} after Holm's correction over {verdict.family} claims)"
        detail = "; ".join(filter(None, (p_value(verdict.p) + (over if verdict.family > 1 else ""), detail)))
    return ClaimLines(text, verdict.word, detail, effects)


def _direction(verdict: ClaimVerdict) -> str:
    points = [c.points for c in verdict.comparisons if c.points is not None]
    if len(points) < len(verdict.comparisons):
        return "not run yet"
    if sum(points) >= verdict.claim.needed():
        return "points the claimed way"
    return "points the claimed way in part" if any(points) else "does not point the claimed way"
