"""Whether what the results say follows from what the results hold: files, runs, and the rows made of them.

No Keras and no training: predictions, labels and arithmetic. `docs/verification.md` says what this can find out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmodels.data import DataError
from kmodels.data.catalog import DIGESTS
from kmodels.data.labels import labels_of
from kmodels.plural import counted
from kmodels.report import document
from kmodels.results.matching import shown_runs
from kmodels.results.runs import Run, run_files
from kmodels.spec.declarations import Script
from kmodels.spec.experiment import Experiment
from kmodels.stats.inference import Runs, Sample
from kmodels.verification.stored_run import CheckedRun, check_run

__all__ = ["CellCheck", "Stored", "Verification", "conclusion", "described", "near", "read_results", "row_ids"]
__all__ += ["verify_all", "verify_row"]


@dataclass(frozen=True)
class Stored:
    """The run files of a results folder.

    Attributes:
        runs: path -> the run it holds.
        damaged: one line for each file that is not the run its name says, which names it.
    """

    runs: Mapping[Path, Run]
    damaged: tuple[str, ...]


def read_results(folder: Path) -> Stored:
    """Reads all run files of a results folder and leaves them as they are.

    A file counts as damaged where its name is not the key of what it holds: the hash of recipe, data, seed and fold.

    Args:
        folder: usually `results`; runs of the quick protocol, in `quick` below it, are left out.

    Raises:
        ValueError: there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"results: expected a folder. Received: {str(folder)!r}")
    runs, damaged = {}, []
    for path, found in run_files(folder):
        if isinstance(found, ValueError):
            damaged.append(str(found))
        else:
            runs[path] = found
    return Stored(runs, tuple(damaged))


@dataclass(frozen=True)
class CellCheck:
    """One cell's runs, checked one by one.

    Attributes:
        experiment: name of the experiment.
        cell: name of the cell.
        runs: what was found of each of its runs, by seed and fold; empty where it has none.
    """

    experiment: str
    cell: str
    runs: tuple[CheckedRun, ...]


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        cells: the cells looked at.
        summary: for each row what the table says of it, recomputed: `row, cell: reported | ours | verdict`.
        differences: everything that is not as the files or the table say; empty where all is.
    """

    cells: tuple[CellCheck, ...]
    summary: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def runs(self) -> int:
        """How many runs were checked."""
        return sum(len(cell.runs) for cell in self.cells)

    @property
    def same(self) -> bool:
        """Whether there was something to check and all of it is as the files say."""
        return self.runs > 0 and not self.differences


def row_ids(scripts: Iterable[Script]) -> tuple[str, ...]:
    """Returns the ids of all rows that scripts declare, in their order."""
    rows = (row.id for script in scripts for experiment in script.experiments for row in experiment.rows)
    return tuple(dict.fromkeys(rows))


def near(row: str, scripts: Iterable[Script]) -> tuple[str, ...]:
    """Returns the ids of rows that are written like one that there is not, the most similar first.

    Example:
        >>> from kmodels.spec.experiment import Experiment, Recipe, Split
        >>> near("A1.2", [])
        ()
    """
    known = {known.casefold(): known for known in row_ids(scripts)}
    return tuple(known[match] for match in difflib.get_close_matches(row.casefold(), known, n=4, cutoff=0.5))


def verify_row(row: str, scripts: Sequence[Script], stored: Stored, *, added: bool = False) -> Verification:
    """Checks the runs that a row of a report is judged by, and the row's numbers and verdict.

    Damaged files anywhere in the results count as differences: which row they belonged to, nobody can say.

    Args:
        row: id of a row, such as `A-1.2`, in upper or lower case.
        scripts: where rows are declared.
        stored: the results.
        added: check the cells that we added to the row's experiments as well.

    Raises:
        ValueError: no script declares such a row.
    """
    row = {known.casefold(): known for known in row_ids(scripts)}.get(row.casefold(), row)
    parts = [e for script in scripts for e in script.experiments if any(r.id == row for r in e.rows)]
    if not parts:
        hint = f"one like {', '.join(near(row, scripts))}" if near(row, scripts) else "one that a script declares"
        raise ValueError(f"row: expected {hint}. Received: {row!r}")
    cells: list[CellCheck] = []
    summary: list[str] = []
    differences = list(stored.damaged)
    known: set[str] = set()
    for experiment in parts:
        asked = {r.cell: repr(experiment.recipe(r.cell)) for r in experiment.rows if r.id == row}
        own = [cell for cell, recipe in asked.items() if recipe not in known]  # another script may ask of the same runs
        known.update(asked.values())
        wanted = [*own, *(cell for cell in experiment.repaired if added and cell not in own)]
        if not wanted:
            continue
        matched = shown_runs(experiment, stored.runs.values(), quick=False, digests=DIGESTS)
        checked = {cell: {place: _checked(run) for place, run in sorted(matched[cell].items())} for cell in wanted}
        cells += [CellCheck(experiment.name, cell, tuple(runs.values())) for cell, runs in checked.items()]
        for runs in checked.values():
            differences += [f"{_name(run.run)}: {line}" for run in runs.values() for line in run.differences()]
        again = {cell: {place: run.recomputed for place, run in runs.items()} for cell, runs in checked.items()}
        said, ours = _lines(experiment, matched, row, wanted), _lines(experiment, again, row, wanted)
        summary += ours
        differences += [f"{one}; recomputed {other}" for one, other in zip(said, ours, strict=True) if one != other]
    return Verification(tuple(cells), tuple(summary), tuple(differences))


def verify_all(stored: Stored) -> Verification:
    """Checks every stored run, whether a row still asks for it or not."""
    cells: dict[tuple[str, str], list[CheckedRun]] = {}
    differences = list(stored.damaged)
    for path, run in stored.runs.items():
        checked = _checked(run)
        cells.setdefault((run.experiment, run.cell), []).append(checked)
        differences += [f"{path}: {line}" for line in checked.differences()]
    checks = tuple(CellCheck(*names, tuple(runs)) for names, runs in cells.items())
    return Verification(checks, (), tuple(differences))


def _checked(run: Run) -> CheckedRun:
    try:
        return check_run(run, labels_of(run.data["name"]))
    except (ValueError, TypeError, KeyError, DataError) as error:
        return CheckedRun(run, (), tuple(run.scores), (f"data: expected a data set that is at hand. {error}",))


def _lines(experiment: Experiment, runs: Mapping[str, Runs], row: str, wanted: Sequence[str]) -> list[str]:
    shown = document.lines(experiment, runs, folds=experiment.base.split.folds)
    return [
        f"{row}, {line.cell}, {line.measure.label}: reported {line.reported} | ours {line.ours} | {line.verdict.word}"
        f"{_unfinished(line.sample)}"
        for line in shown
        if line.row.id == row and line.row.cell in wanted
    ]


def _unfinished(sample: Sample) -> str:
    parts = (f"seed {seed} has {n} of {sample.wanted} folds" for seed, n in sample.partial.items())
    return f" (unfinished: {', '.join(parts)})" if sample.partial else ""


def _name(run: Run) -> str:
    return f"{run.experiment}/{run.key}.json"


def described(found: Verification, *, every_run: bool) -> Iterator[str]:
    """Yields the lines that say what was found, differences last.

    Args:
        found: what was found.
        every_run: a line for each score of each run, else one for each cell.
    """
    for cell in found.cells:
        if not cell.runs:
            yield f"{cell.experiment}, {cell.cell}: not run yet"
            continue
        scores = sum(len(run.scores) for run in cell.runs)
        same = sum(score.same for run in cell.runs for score in run.scores)
        runs = counted(len(cell.runs), "run")
        yield f"{cell.experiment}, {cell.cell}: {runs}, {same} of {scores} scores the same"
        if every_run:
            yield _HEADING
            yield from (line for run in cell.runs for line in _scores(run))
            yield ""
    yield from found.summary
    yield from (f"DIFFERENT: {line}" for line in found.differences)


def conclusion(found: Verification) -> str:
    """Returns the last line: how much was checked, and how it ended.

    Example:
        >>> conclusion(Verification((), (), ()))
        'Nothing has been run yet: nothing to check.'
    """
    if found.differences:
        return f"{counted(found.runs, 'run')} checked: {len(found.differences)} DIFFERENT."
    if not found.runs:
        return "Nothing has been run yet: nothing to check."
    unchecked = dict.fromkeys(name for cell in found.cells for run in cell.runs for name in run.unchecked)
    rest = f", but for what only training again could tell: {', '.join(unchecked)}" if unchecked else ""
    return f"{counted(found.runs, 'run')} checked: everything is as stored{rest}."


_NAME = 19  # columns; a longer name has a line of its own, so that a table fits into 80
_HEADING = f"  {'run':8}  seed  fold  {'score':{_NAME}}  {'stored':>12}  {'recomputed':>12}  same"


def _scores(checked: CheckedRun) -> Iterator[str]:
    run = checked.run
    for score in checked.scores:
        said, ours = (f"{'–':>12}" if v is None else f"{v:12.8f}" for v in (score.stored, score.recomputed))
        same = "yes" if score.same else "NO"
        start = f"  {run.key[:8]}  {run.seed:4}  {run.fold:4}  {score.name:{_NAME}}"
        if len(score.name) > _NAME:
            yield start
            start = " " * (len(start) - len(score.name) + _NAME)
        yield f"{start}  {said}  {ours}  {same}"
