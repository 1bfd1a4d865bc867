"""One call of a script: what the results say, what is missing, and the training of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from kmodels.atomic_file import write_atomically
from kmodels.command_line import BACKENDS, say
from kmodels.data import DataError, Dataset, DataUnavailable, load
from kmodels.data.catalog import CATALOG, DIGESTS
from kmodels.durations import spoken
from kmodels.plural import counted
from kmodels.report import document, plots
from kmodels.report.observation_plots import write_observation_figures
from kmodels.results.matching import match_runs, shown_runs
from kmodels.results.runs import Run, load_runs
from kmodels.running.estimates import likely_device, summed
from kmodels.running.plan_text import not_run_here
from kmodels.running.stored_speeds import stored_speeds
from kmodels.spec.amount import Amount
from kmodels.spec.experiment import Experiment
from kmodels.spec.tasks import Task
from kmodels.spec.variants import on_dataset

if TYPE_CHECKING:
    from kmodels.running.runner import Outcome

__all__ = ["Amount", "say_what_is_not_run", "show", "train"]


def show(
    experiments: Sequence[Experiment],
    results: Path,
    amount: Amount,
    *,
    backend: str,
    command: str,
    pipeline: str = "memory",
    script: Sequence[Experiment] = (),
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
        script: all experiments of the script, with all cells, over whose claims verdicts are corrected whatever is
            shown of them; empty where all are shown.
        draw: write `table.md` and the figures into the folder of each experiment that has runs.

    Raises:
        OSError: something could not be written; all tables have been printed before.
    """
    console = Console()
    folder = amount.folder(results)
    stored = load_runs(folder, say)
    shown = [e for e in experiments if not (amount.quick and e.quick is None)]
    found = {e.name: _shown_runs(e, stored, amount, backend, pipeline) for e in shown}
    judged = [
        (e, _shown_runs(e, stored, amount, backend, pipeline), amount.folds_of(e))
        for e in script or shown
        if not (amount.quick and e.quick is None)
    ]
    verdicts = document.claim_verdicts(judged)
    unwritten: OSError | None = None
    for experiment in shown:
        table = document.table(
            experiment,
            found[experiment.name],
            protocol=amount.protocol,
            folds=amount.folds_of(experiment),
            command=_made_by(command, amount, found[experiment.name]),
            verdicts=[verdict for verdict in verdicts[experiment.name] if verdict.claim in experiment.claims],
        )
        console.print(document.to_rich(table))
        if not draw or not any(found[experiment.name].values()):
            continue
        home = folder / experiment.name
        note, folds = "quick protocol" if amount.quick else "", amount.folds_of(experiment)
        try:
            write_atomically(home / "table.md", document.to_markdown(table).encode())
            figures = plots.write_figures(experiment, found[experiment.name], home, folds=folds, note=note)
            names = CATALOG[experiment.base.dataset].class_names
            figures += write_observation_figures(experiment, found[experiment.name], home, class_names=names)
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
    order = tuple(dict.fromkeys((backend, *BACKENDS)))
    stored_runs = stored.values()
    return shown_runs(
        experiment, stored_runs, quick=amount.quick, backends=order, pipelines=(pipeline,), digests=DIGESTS
    )


def train(
    experiments: Sequence[Experiment],
    results: Path,
    amount: Amount,
    *,
    backend: str,
    command: str,
    pipeline: str = "memory",
    script: Sequence[Experiment] = (),
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
        script: as for `show`.
        fallback: let the quick protocol train on `digits` where no source has the data.
        draw: as for `show`.

    Returns:
        The exit status: 0, 1 where a training failed or data are missing, 130 where it was interrupted.

    Raises:
        OSError: a run or a table could not be written.
    """
    show(experiments, results, Amount("report"), backend=backend, command=command, script=script, draw=False)
    chosen = list(experiments)
    if amount.quick:
        say_what_is_not_run([e for e in chosen if e.quick is None], results, backend)
        chosen = [experiment for experiment in chosen if experiment.quick is not None]
    folder = amount.folder(results)
    diverged: list[str] = []
    try:
        queue = _without_gpu_only(_missing(chosen, folder, amount, backend, pipeline))
        if queue:  # hours of training are not to end in a folder that cannot be written to
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        try:
            datasets = {name: load(name, report=say) for name in dict.fromkeys(t.recipe.dataset for t in queue)}
        except DataUnavailable as error:
            if not (amount.quick and fallback):
                raise
            say(f"{error}\nQuick protocol: training on digits, the images that come with scikit-learn, instead.")
            chosen = [on_dataset(experiment, "digits") for experiment in chosen]
            script = [on_dataset(experiment, "digits") for experiment in script]
            queue = _without_gpu_only(_missing(chosen, folder, amount, backend, pipeline))
            datasets = {"digits": load("digits", report=say)}
        if queue:
            outcome = _work(queue, datasets, results, amount, backend, pipeline)
            diverged = outcome.diverged
            if outcome.interrupted:
                say("Interrupted. Finished runs are kept; the same command goes on from there.")
                return 130
    except DataError as error:
        say(str(error))
        return 1
    show(chosen, results, amount, backend=backend, command=command, pipeline=pipeline, script=script, draw=draw)
    for line in diverged:
        say(f"diverged: {line}")
    return 0


def _missing(
    experiments: Sequence[Experiment], folder: Path, amount: Amount, backend: str, pipeline: str
) -> list[Task]:
    """Tasks without a stored run; cells with the same recipe are trained once."""
    stored = load_runs(folder, say)
    queue: list[Task] = []
    for experiment in experiments:
        found = match_runs(
            experiment, stored.values(), quick=amount.quick, backend=backend, pipeline=pipeline, digests=DIGESTS
        )
        for task in amount.tasks_of(experiment):
            same = any((t.recipe, t.seed, t.fold) == (task.recipe, task.seed, task.fold) for t in queue)
            if not same and (task.seed, task.fold) not in found[task.cell]:
                queue.append(task)
    return queue


def _without_gpu_only(queue: Sequence[Task]) -> list[Task]:
    """What can be trained here; says what cannot."""
    if likely_device().startswith("CUDA"):
        return list(queue)
    for cell in dict.fromkeys(f"{task.experiment} · {task.cell}" for task in queue if task.recipe.needs_gpu):
        say(f"{cell}: not run here: it needs a GPU")
    return [task for task in queue if not task.recipe.needs_gpu]


def say_what_is_not_run(experiments: Sequence[Experiment], results: Path, backend: str) -> None:
    """Names, on standard error, experiments that have no quick protocol, and what the report's would take.

    Args:
        experiments: those without a quick protocol.
        results: results folder, whose runs tell how fast this machine is.
        backend: Keras backend that trains.
    """
    if not experiments:
        return
    whole = {e.name: [task.recipe for task in Amount("report").tasks_of(e)] for e in experiments}
    recipes = [recipe for recipes in whole.values() for recipe in recipes]
    speeds = stored_speeds(recipes, results, backend, say)
    for name, recipes in whole.items():
        say(not_run_here(name, [speeds.estimate(recipe) for recipe in recipes]))


def _work(
    queue: Sequence[Task],
    datasets: Mapping[str, Dataset],
    results: Path,
    amount: Amount,
    backend: str,
    pipeline: str,
) -> Outcome:
    """Trains the queue."""
    from kmodels.running import runner, timing  # Keras: only where something is trained

    seconds = None
    if not amount.quick:
        recipes = [task.recipe for task in queue]
        speeds = timing.timed(recipes, datasets, stored_speeds(recipes, results, backend, say), pipeline=pipeline)
        estimates = [speeds.estimate(recipe) for recipe in recipes]
        for name in datasets:
            total, basis = summed([e for e, recipe in zip(estimates, recipes, strict=True) if recipe.dataset == name])
            count = sum(recipe.dataset == name for recipe in recipes)
            say(f"{counted(count, 'run')} on {name}: about {spoken(total)} on this machine ({basis})")
        seconds = [estimate.seconds for estimate in estimates]
    outcome = runner.run(
        queue,
        datasets,
        amount.folder(results),
        pipeline=pipeline,
        console=Console(stderr=True),
        seconds=seconds,
    )
    if outcome.elsewhere:
        say(f"left to another process: {counted(len(outcome.elsewhere), 'run')}; ask again when it has ended")
    return outcome


def _made_by(command: str, amount: Amount, found: Mapping[str, Mapping[tuple[int, int], Run]]) -> str:
    """The command line that makes the runs shown; another backend than the default has to be asked for."""
    backends = {run.backend for runs in found.values() for run in runs.values()} - {"torch"}
    chosen = "".join(f"KERAS_BACKEND={name} " for name in sorted(backends))
    return f"{chosen}{command}" if amount.quick else f"{chosen}{command} --protocol report"


def _near(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
