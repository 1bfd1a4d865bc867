"""One call of a script: what the results say, what is missing, and the training of it."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from kmodels import plots, report
from kmodels.atomic_file import write_atomically
from kmodels.data import DataError, Dataset, DataUnavailable, load
from kmodels.data.catalog import CATALOG
from kmodels.matching import match_runs
from kmodels.results import Run, load_runs
from kmodels.spec import Experiment
from kmodels.tasks import Task, tasks
from kmodels.variants import on_dataset

__all__ = ["Amount", "show", "train"]

_BACKENDS = ("torch", "jax", "tensorflow")
_DIGESTS = {name: facts.digest for name, facts in CATALOG.items() if facts.digest is not None}


@dataclass(frozen=True)
class Amount:
    """How much of an experiment one call is about.

    Attributes:
        protocol: `report` or `quick`.
        seeds: number of seeds; None for what the protocol says (quick: 1, report: the experiment's `seeds`).
        folds: number of folds; None for what the protocol says (quick: `quick_folds`, report: all of the split).
    """

    protocol: report.Protocol
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

    def folder(self, results: Path) -> Path:
        """Returns where the runs are: those of the quick protocol live apart."""
        return results / "quick" if self.quick else results


def show(
    experiments: Sequence[Experiment],
    results: Path,
    amount: Amount,
    *,
    backend: str,
    command: str,
    pipeline: str = "memory",
    draw: bool = True,
) -> None:
    """Prints the tables of the stored runs and, with `draw`, writes them as Markdown and figures beside the runs.

    Args:
        experiments: what to show; those without a quick protocol are left out of the quick tables.
        results: results folder.
        amount: protocol, and how many folds a seed needs to count.
        backend: Keras backend whose runs are shown; another one's where it has none.
        command: the command line that makes the numbers, without its protocol; printed under each table.
        pipeline: runs fed by this pipeline.
        draw: write `table.md` and the figures into the folder of each experiment that has runs.

    Raises:
        OSError: something could not be written; all tables have been printed before.
    """
    console = Console()
    folder = amount.folder(results)
    stored = load_runs(folder, _warn)
    shown = [e for e in experiments if not (amount.quick and e.quick is None)]
    found = {e.name: _shown_runs(e, stored, amount, backend, pipeline) for e in shown}
    verdicts = report.claim_verdicts([(e, found[e.name], amount.folds_of(e)) for e in shown])
    unwritten: OSError | None = None
    for experiment in shown:
        table = report.table(
            experiment,
            found[experiment.name],
            protocol=amount.protocol,
            folds=amount.folds_of(experiment),
            command=_made_by(command, amount, found[experiment.name]),
            verdicts=verdicts[experiment.name],
        )
        console.print(report.to_rich(table))
        if not draw or not any(found[experiment.name].values()):
            continue
        home = folder / experiment.name
        note, folds = "quick protocol" if amount.quick else "", amount.folds_of(experiment)
        try:
            write_atomically(home / "table.md", report.to_markdown(table).encode())
            figures = plots.write_figures(experiment, found[experiment.name], home, folds=folds, note=note)
        except OSError as error:
            unwritten = error
            continue
        for path in (home / "table.md", *figures):
            console.print(f"written: {_near(path)}", soft_wrap=True, highlight=False, markup=False)
    if unwritten is not None:
        raise unwritten


def _shown_runs(
    experiment: Experiment, stored: Mapping[str, Run], amount: Amount, backend: str, pipeline: str
) -> dict[str, dict[tuple[int, int], Run]]:
    """Runs of the chosen backend, or of the first other one that has any: their table names it."""
    found: dict[str, dict[tuple[int, int], Run]] = {}
    for name in dict.fromkeys((backend, *_BACKENDS)):
        found = match_runs(
            experiment, stored.values(), quick=amount.quick, backend=name, pipeline=pipeline, digests=_DIGESTS
        )
        if any(found.values()):
            break
    return found


def train(
    experiments: Sequence[Experiment],
    results: Path,
    amount: Amount,
    *,
    backend: str,
    command: str,
    pipeline: str = "memory",
    fallback: bool = True,
    draw: bool = True,
) -> int:
    """Shows what is known, trains what has no run yet, and shows the tables again.

    Args:
        experiments: what to train.
        results: results folder.
        amount: protocol, seeds and folds.
        backend: Keras backend that trains.
        command: as for `show`.
        pipeline: `memory` or `tfdata`.
        fallback: let the quick protocol train on `digits` where no source has the data.
        draw: as for `show`.

    Returns:
        The exit status: 0, 1 where a training failed or data are missing, 130 where it was interrupted.

    Raises:
        OSError: a run or a table could not be written.
    """
    show(experiments, results, Amount("report"), backend=backend, command=command, draw=False)
    chosen = list(experiments)
    if amount.quick:
        for experiment in chosen:
            if experiment.quick is None:
                _warn(f"{experiment.name}: not run here: it cannot rise above chance in the quick protocol's minutes")
        chosen = [experiment for experiment in chosen if experiment.quick is not None]
    folder = amount.folder(results)
    diverged: list[str] = []
    try:
        queue = _missing(chosen, folder, amount, backend, pipeline)
        if queue:  # hours of training are not to end in a folder that cannot be written to
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        try:
            datasets = {name: load(name, report=_warn) for name in dict.fromkeys(t.recipe.dataset for t in queue)}
        except DataUnavailable as error:
            if not (amount.quick and fallback):
                raise
            _warn(f"{error}\nQuick protocol: training on digits, the images that come with scikit-learn, instead.")
            chosen = [on_dataset(experiment, "digits") for experiment in chosen]
            queue = _missing(chosen, folder, amount, backend, pipeline)
            datasets = {"digits": load("digits", report=_warn)}
        if queue:
            interrupted = _work(queue, datasets, folder, amount, pipeline, diverged)
            if interrupted:
                _warn("Interrupted. Finished runs are kept; the same command goes on from there.")
                return 130
    except DataError as error:
        _warn(str(error))
        return 1
    show(chosen, results, amount, backend=backend, command=command, pipeline=pipeline, draw=draw)
    for line in diverged:
        _warn(f"diverged: {line}")
    return 0


def _missing(
    experiments: Sequence[Experiment], folder: Path, amount: Amount, backend: str, pipeline: str
) -> list[Task]:
    """Tasks without a stored run; cells with the same recipe are trained once."""
    stored = load_runs(folder, _warn)
    queue: list[Task] = []
    for experiment in experiments:
        found = match_runs(
            experiment, stored.values(), quick=amount.quick, backend=backend, pipeline=pipeline, digests=_DIGESTS
        )
        planned = tasks(
            experiment,
            quick=amount.quick,
            seeds=amount.seeds_of(experiment),
            folds=amount.folds_of(experiment),
            cells=experiment.all_cells(),
        )
        for task in planned:
            same = any((t.recipe, t.seed, t.fold) == (task.recipe, task.seed, task.fold) for t in queue)
            if not same and (task.seed, task.fold) not in found[task.cell]:
                queue.append(task)
    return queue


def _work(
    queue: Sequence[Task],
    datasets: Mapping[str, Dataset],
    folder: Path,
    amount: Amount,
    pipeline: str,
    diverged: list[str],
) -> bool:
    """Trains the queue; returns whether it was interrupted."""
    from kmodels import runner  # Keras: only where something is trained
    from kmodels.progress import spoken

    console = Console(stderr=True)
    for name, group in itertools.groupby(queue, key=lambda task: task.recipe.dataset):
        part = list(group)
        if not amount.quick:
            seconds = runner.estimate_seconds(part, datasets[name], pipeline=pipeline)
            _warn(f"{len(part)} runs on {name}: about {spoken(seconds)} on this machine")
        outcome = runner.run(part, datasets[name], folder, pipeline=pipeline, console=console)
        diverged += outcome.diverged
        if outcome.interrupted:
            return True
    return False


def _made_by(command: str, amount: Amount, found: Mapping[str, Mapping[tuple[int, int], Run]]) -> str:
    """The command line that makes the runs shown; another backend than the default has to be asked for."""
    backends = {run.backend for runs in found.values() for run in runs.values()} - {"torch"}
    chosen = "".join(f"KERAS_BACKEND={name} " for name in sorted(backends))
    return f"{chosen}{command}" if amount.quick else f"{chosen}{command} --protocol report"


def _near(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the command line's own voice
