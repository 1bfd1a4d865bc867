"""A queue of runs in words: one line a run, and what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kmodels.durations import spoken
from kmodels.plural import counted
from kmodels.running.estimates import Estimate, summed
from kmodels.running.plan import PlannedRun

__all__ = ["lines", "not_run_here", "what_is_left"]

_ORDER, _SCRIPT, _SEED, _FOLD, _ESTIMATE, _STATE = 4, 16, 4, 5, 9, 9


def lines(runs: Sequence[PlannedRun], columns: int = 80) -> Iterator[str]:
    """Yields a table of the runs in their order: script, cell, seed, fold, estimate, state.

    An estimate that is scaled from other networks, or from another machine, stands behind `~`.

    Args:
        runs: the queue.
        columns: width of a line, 60 or more.
    """
    cell = columns - (_ORDER + _SCRIPT + _SEED + _FOLD + _ESTIMATE + _STATE) - 6
    yield (
        f"{'#':>{_ORDER}} {'script':{_SCRIPT}} {'cell':{cell}} {'seed':>{_SEED}} {'fold':>{_FOLD}} "
        f"{'estimate':>{_ESTIMATE}} state"
    )
    for number, run in enumerate(runs, start=1):
        task = run.task
        folds = task.recipe.split.folds
        fold = f"{task.fold + 1}/{folds}" if folds > 1 else ""
        about = ("" if run.basis in ("measured", "timed") else "~") + spoken(run.seconds)
        script = _cut(run.script.removeprefix("ablation_"), _SCRIPT)
        yield (
            f"{number:>{_ORDER}} {script:{_SCRIPT}} {_cell(run, cell):{cell}} {task.seed:>{_SEED}} "
            f"{fold:>{_FOLD}} {about:>{_ESTIMATE}} {run.state}"
        )


def what_is_left(runs: Sequence[PlannedRun]) -> str:
    """Returns in one sentence how many runs are done and left, how long those take, and where that comes from.

    Args:
        runs: the queue.
    """
    counts = Counter(run.state for run in runs)
    needing = counts["needs GPU"]
    found = [f"{counts[state]} {state}" for state in ("done", "begun", "running") if counts[state]]
    states = ", ".join(found + ([f"{needing} {'needs' if needing == 1 else 'need'} a GPU"] if needing else []))
    left = [run for run in runs if run.state in ("waiting", "begun")]
    said = f"{counted(len(runs), 'run')}{f': {states}' if states else ''}; "
    if not left:
        return f"{said}none left"
    seconds, basis = summed([Estimate(run.seconds, run.basis) for run in left])
    return f"{said}{len(left)} left, about {spoken(seconds)} ({basis})"


def not_run_here(name: str, estimates: Sequence[Estimate]) -> str:
    """Returns in one line that an experiment has no quick protocol, and what the report's takes.

    Args:
        name: of the experiment.
        estimates: of all its runs under the report's protocol.
    """
    seconds, basis = summed(estimates)
    about = f"about {spoken(seconds)} for {counted(len(estimates), 'run')} of --protocol report ({basis})"
    return f"{name}: not run here, {about}: it cannot rise above chance in the quick protocol's minutes"


def _cell(run: PlannedRun, width: int) -> str:
    """The experiment and its cell; of the two the experiment is cut first, as its script stands beside it."""
    task = run.task
    room = max(width - len(task.cell) - 1, 6)
    return _cut(f"{_cut(task.experiment, room)} {task.cell}", width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
