"""What the runs say of each script's experiments, as values that pages are made of."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kmodels.report import document
from kmodels.report.wording import ours
from kmodels.results.matching import shown_runs
from kmodels.results.runs import Run
from kmodels.spec.claims import MEASURES, Measure
from kmodels.spec.declarations import Script
from kmodels.spec.experiment import Experiment, Recipe
from kmodels.stats.inference import Runs, estimate, gather
from kmodels.stats.verdicts import ClaimVerdict

__all__ = ["Change", "Evidence", "Part", "changes", "evidence", "measures", "named", "natural", "settings"]


@dataclass(frozen=True)
class Part:
    """One experiment and what is known of it.

    Attributes:
        experiment: what was asked.
        folds: how many folds a seed needs to count.
        runs: cell -> its runs of the report protocol by (seed, fold).
        lines: the rows of its table.
        table: the same as text, with what stands under it.
        verdicts: one for each claim, judged with those of the whole script.
        quick: the quick protocol's runs; empty where there are none.
        quick_table: their table; None where there are none.
    """

    experiment: Experiment
    folds: int
    runs: Mapping[str, Runs]
    lines: tuple[document.Line, ...]
    table: document.Table
    verdicts: tuple[ClaimVerdict, ...]
    quick: Mapping[str, Runs] = field(default_factory=dict)
    quick_table: document.Table | None = None

    @property
    def counted(self) -> dict[str, list[Run]]:
        """Runs of each cell that are shown, seed by seed; cells without any left out."""
        found = {
            cell: [run for (_, fold), run in sorted(runs.items()) if fold < self.folds]
            for cell, runs in self.runs.items()
        }
        return {cell: runs for cell, runs in found.items() if runs}


@dataclass(frozen=True)
class Evidence:
    """One script and what is known of its experiments."""

    script: Script
    parts: tuple[Part, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """Ids of the reports' rows, in natural order, each once."""
        return tuple(sorted({line.row.id for part in self.parts for line in part.lines if line.row.id}, key=natural))


@dataclass(frozen=True)
class Change:
    """One setting of a cell that differs from the base recipe."""

    field: str
    base: str
    cell: str


def evidence(
    scripts: Iterable[Script],
    runs: Sequence[Run],
    quick_runs: Sequence[Run] = (),
    digests: Mapping[str, str] | None = None,
) -> tuple[Evidence, ...]:
    """Returns what the stored runs say of each script.

    Of several pipelines and backends that have runs of an experiment the first counts, in the order memory, tfdata and
    torch, jax, tensorflow.

    Args:
        scripts: what was asked.
        runs: stored runs of the report protocol.
        quick_runs: stored runs of the quick protocol.
        digests: name of a data set -> the digest that its content must have.

    Raises:
        ValueError: a run lacks a score that a row or claim needs.
    """
    return tuple(Evidence(script, _parts(script, runs, quick_runs, digests)) for script in scripts)


def _parts(
    script: Script, runs: Sequence[Run], quick_runs: Sequence[Run], digests: Mapping[str, str] | None
) -> tuple[Part, ...]:
    found = {e.name: shown_runs(e, runs, quick=False, digests=digests) for e in script.experiments}
    verdicts = document.claim_verdicts([(e, found[e.name], e.base.split.folds) for e in script.experiments])
    parts = []
    for experiment in script.experiments:
        folds, own = experiment.base.split.folds, found[experiment.name]
        table = document.table(
            experiment,
            own,
            protocol="report",
            folds=folds,
            command=f"{_backend(own)}{script.command} --protocol report",
            verdicts=verdicts[experiment.name],
        )
        lines, own_verdicts = document.lines(experiment, own, folds=folds), tuple(verdicts[experiment.name])
        quick: Mapping[str, Runs] = {}
        if experiment.quick is not None:
            quick = shown_runs(experiment, quick_runs, quick=True, digests=digests)
        quick_table = None
        if any(quick.values()):
            quick_table = document.table(
                experiment,
                quick,
                protocol="quick",
                folds=min(folds, experiment.quick_folds),
                command=f"{_backend(quick)}{script.command}",
            )
        parts.append(Part(experiment, folds, own, lines, table, own_verdicts, quick, quick_table))
    return tuple(parts)


def _backend(runs: Mapping[str, Runs]) -> str:
    backends = {run.backend for cell in runs.values() for run in cell.values()} - {"torch"}
    return "".join(f"KERAS_BACKEND={name} " for name in sorted(backends))


def changes(base: Recipe, cell: Recipe) -> tuple[Change, ...]:
    """Returns how a cell's recipe differs from the base, setting by setting.

    Example:
        >>> from kmodels.recipes import LENET_A
        >>> changes(LENET_A, LENET_A.change(dropout=0.5, batch_size=64))
        (Change(field='dropout', base='0.0', cell='0.5'), Change(field='batch_size', base='256', cell='64'))
    """
    before, after = settings(base), settings(cell)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return tuple(Change(name, before.get(name, "–"), after.get(name, "–")) for name in names)


def settings(recipe: Recipe) -> dict[str, str]:
    """Returns every setting of a recipe as text; those of its split and schedule by names such as `schedule.kind`."""
    found: dict[str, str] = {}
    for name, value in recipe.as_dict().items():
        if name == "model_args":
            found |= {key: _text(entry) for key, entry in value.items()}
        elif isinstance(value, Mapping):
            found |= {f"{name}.{key}": _text(entry) for key, entry in value.items()}
        else:
            found[name] = _text(value)
    return found


def _text(value: Any) -> str:
    if value is None or (isinstance(value, list | tuple) and not value):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def measures(part: Part) -> list[tuple[str, list[str]]]:
    """Returns all that was measured: each measure's name with its unit, and mean ± interval (n) of each cell with runs.

    Only measures that some cell has; a dash stands for a cell that has it not.
    """
    found: dict[Measure, dict[str, str]] = {}
    for name, cell in itertools.product(MEASURES, part.counted):
        if value := _measured(part, cell, name):
            # validated on the test images it comes twice, under one name
            found.setdefault(part.experiment.measure(cell, name), {}).setdefault(cell, value)
    return [(named(measure), [values.get(cell, "–") for cell in part.counted]) for measure, values in found.items()]


def _measured(part: Part, cell: str, measure: str) -> str:
    folds = min(part.folds, part.experiment.recipe(cell).split.folds)
    if (MEASURES[measure].spread or MEASURES[measure].last_fold) and folds < 2:
        return ""
    try:
        value = estimate(gather(part.runs[cell], measure, folds))
    except ValueError:  # runs without that score
        return ""
    return "" if value is None else ours(value, MEASURES[measure])


def named(measure: Measure) -> str:
    """Returns what is measured, with its unit.

    Example:
        >>> named(MEASURES["validation_accuracy"])
        'validation accuracy (%)'
    """
    return f"{measure.label} ({measure.unit})" if measure.unit else measure.label


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Returns a key that sorts numbers inside a text by their value.

    Example:
        >>> sorted(["E-T10", "E-T2", "A-1.2"], key=natural)
        ['A-1.2', 'E-T2', 'E-T10']
    """
    return tuple((int(part), "") if part.isdigit() else (0, part) for part in re.findall(r"\d+|\D+", text))
