"""The command line of `experiments/reproduce.py`: all scripts' runs through one queue, shortest first."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kmodels.command_line import WrongUse, process, say
from kmodels.durations import spoken
from kmodels.plural import counted
from kmodels.running.estimates import Estimate, Speeds, likely_device, summed
from kmodels.running.flags import parsed
from kmodels.running.key_lock import is_locked
from kmodels.running.plan import PlannedRun, estimated, planned, shard, shortest_first, with_states
from kmodels.running.plan_text import lines, what_is_left
from kmodels.running.stored_speeds import stored_speeds
from kmodels.spec.amount import Amount
from kmodels.spec.declarations import Script, load_scripts
from kmodels.spec.experiment import Experiment
from kmodels.spec.variants import in_precision, narrowed, on_dataset

if TYPE_CHECKING:
    from kmodels.data import Dataset
    from kmodels.running.runner import Outcome

__all__ = ["main", "run_command"]

Parts = list[tuple[str, Experiment]]


def main(folder: Path) -> NoReturn:
    """Runs what the process's command line asks, over the scripts of a folder, and ends the process.

    Exit status: 0 done, or the time budget used up in good order; 1 something failed; 2 a wrong value on the command
    line; 130 interrupted; 143 terminated.

    Args:
        folder: of the scripts; those that declare no experiment, such as the caller, are left out.
    """
    process(lambda: run_command(folder, sys.argv[1:]))


def run_command(folder: Path, argv: Sequence[str]) -> int:
    """Does what a command line asks of a folder's scripts and returns the exit status.

    Args:
        folder: of the scripts.
        argv: the arguments after the script's name.
    """
    began, name = time.monotonic(), Path(sys.argv[0]).name
    try:
        asked = parsed(folder, argv)
        parts = _selected(load_scripts(folder), asked)
        return _list(parts, asked) if asked.list else _train(parts, asked, began)
    except WrongUse as error:
        say(f"{name}: {error}")
        return 2
    except KeyboardInterrupt:
        say("\nInterrupted. Finished runs are kept; the same command goes on from there.")
        return 130
    except (OSError, ValueError) as error:
        say(f"{name}: {error}")
        return 1


def _selected(scripts: Sequence[Script], asked: argparse.Namespace) -> Parts:
    parts = [(script.name, experiment) for script in scripts for experiment in script.experiments]
    if asked.only is not None:
        parts = [(name, part) for name, experiment in parts if (part := _named(name, experiment, asked.only))]
    if not parts:
        raise WrongUse(
            "argument --only: expected the beginning of a script's, experiment's, row's or cell's name. "
            f"Received: {asked.only!r}"
        )
    if asked.precision:
        parts = [(name, in_precision(experiment, asked.precision)) for name, experiment in parts]
    return parts


def _named(script: str, experiment: Experiment, start: str) -> Experiment | None:
    wanted = start.casefold()
    if len(wanted) > 1 and any(name.startswith(wanted) for name in (script, script.removeprefix("ablation_"))):
        return experiment
    return narrowed(experiment, start)


def _amount(asked: argparse.Namespace) -> Amount:
    return Amount(asked.protocol, asked.seeds, asked.folds)


def _queue(parts: Parts, asked: argparse.Namespace) -> tuple[tuple[PlannedRun, ...], Speeds]:
    """This call's part of all runs in the order they are declared, with estimates and states, and what those are from.

    Only the state says what is there: the parts of `--shard` must not depend on it.
    """
    amount = _amount(asked)
    declared = [(name, e) for name, e in parts if not (amount.quick and e.quick is None)]
    recipes = [task.recipe for _, experiment in declared for task in amount.tasks_of(experiment)]
    speeds = stored_speeds(recipes, asked.out, asked.backend, say)  # sets damaged runs aside
    runs = planned(declared, amount, speeds.macs, backend=asked.backend, pipeline=asked.pipeline)
    if asked.shard is not None:
        runs = shard(runs, *asked.shard)
    return _with_states(estimated(runs, speeds), asked), speeds


def _with_states(runs: Sequence[PlannedRun], asked: argparse.Namespace) -> tuple[PlannedRun, ...]:
    folder = _amount(asked).folder(asked.out)
    on_gpu = likely_device().startswith("CUDA") if asked.ray is None else bool(asked.gpus_per_run)
    return with_states(
        runs,
        done={path.stem for path in folder.glob("*/*.json")},
        begun={path.name.partition(".")[0] for ending in ("state", "done") for path in folder.glob(f"*/*.{ending}")},
        running={run.key for run in runs if is_locked(folder, run.key)},
        gpu=on_gpu,
    )


def _list(parts: Parts, asked: argparse.Namespace) -> int:
    runs, _ = _queue(parts, asked)
    runs = shortest_first(runs)
    for line in lines(runs, _columns()):
        print(line)
    _say_what_is_left(runs)
    return 0


def _columns() -> int:
    return max(80, shutil.get_terminal_size().columns)


def _say_what_is_left(runs: Sequence[PlannedRun], end: str = "") -> None:
    print(textwrap.fill(f"{what_is_left(runs)}{end}", _columns()))


def _train(parts: Parts, asked: argparse.Namespace, began: float) -> int:
    amount, status = _amount(asked), 0
    if amount.quick:
        from kmodels.running import session  # SciPy and matplotlib: not needed for --list

        session.say_what_is_not_run([e for _, e in parts if e.quick is None], asked.out, asked.backend)
    runs, speeds = _queue(parts, asked)
    left = _left(runs)
    if not left:
        _say_what_is_left(runs)
        return 0
    folder = amount.folder(asked.out)
    folder.mkdir(parents=True, exist_ok=True)  # hours of training are not to end in a folder that cannot be written to
    with tempfile.TemporaryFile(dir=folder):
        pass
    datasets, missing = _datasets(left)
    if missing and amount.quick:
        say("Quick protocol: training on digits, the images that come with scikit-learn, instead.")
        parts = [(name, on_dataset(e, "digits") if e.base.dataset in missing else e) for name, e in parts]
        runs, speeds = _queue(parts, asked)
        more, missing = _datasets(_left(runs))
        datasets |= more
    if missing:
        count = sum(run.task.recipe.dataset in missing for run in _left(runs))
        say(f"left out without data: {counted(count, 'run')}")
        status = 1
    left = [run for run in _left(runs) if run.task.recipe.dataset in datasets]
    if left:
        outcome, speeds = _work(left, datasets, speeds, asked, began)
        for line in (*(f"diverged: {line}" for line in outcome.diverged), *(f"failed: {x}" for x in outcome.failed)):
            say(line)
        if outcome.interrupted:
            say("Interrupted. Finished runs are kept; the same command goes on from there.")
            return 130
        runs = estimated(_with_states(runs, asked), speeds)
        status = 1 if outcome.failed else status
    _say_what_is_left(runs, "; the same command goes on" if _left(runs) else "")
    return status


def _left(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    return [run for run in runs if run.state in ("waiting", "begun", "running")]


def _datasets(runs: Sequence[PlannedRun]) -> tuple[dict[str, Dataset], set[str]]:
    """Each data set once, and the names of those that no source has."""
    from kmodels.data import DataError, load

    found: dict[str, Dataset] = {}
    missing: set[str] = set()
    for name in dict.fromkeys(run.task.recipe.dataset for run in runs):
        try:
            found[name] = load(name, report=say)
        except DataError as error:
            say(str(error))
            missing.add(name)
    return found, missing


def _work(
    left: Sequence[PlannedRun],
    datasets: dict[str, Dataset],
    speeds: Speeds,
    asked: argparse.Namespace,
    began: float,
) -> tuple[Outcome, Speeds]:
    """Says how long it takes, trains, and returns what became of it and what is known of the machine by then."""
    from rich.console import Console

    from kmodels.running import runner, timing  # Keras: only where something is trained
    from kmodels.running.budget import Budget

    limit = asked.time_budget
    least = 20.0 if limit is None else min(20.0, limit / 20)
    speeds = timing.timed([run.task.recipe for run in left], datasets, speeds, pipeline=asked.pipeline, seconds=least)
    queue = shortest_first(estimated(left, speeds))
    total, basis = summed([Estimate(run.seconds, run.basis) for run in queue])
    shortest, longest = spoken(queue[0].seconds), spoken(queue[-1].seconds)
    say(f"{counted(len(queue), 'run')} to train: about {spoken(total)}, {shortest} to {longest} each ({basis})")
    budget = Budget(limit, speeds, began=began)
    tasks, folder = [run.task for run in queue], _amount(asked).folder(asked.out)
    seconds, console = [run.seconds for run in queue], Console(stderr=True)
    if asked.ray is None:
        outcome = runner.run(
            tasks,
            datasets,
            folder,
            pipeline=asked.pipeline,
            console=console,
            seconds=seconds,
            budget=budget,
            keep_going=True,
        )
    else:
        from kmodels.running import cluster

        share = cluster.Share(asked.cpus_per_run or 1, asked.gpus_per_run)
        with cluster.connected(asked.ray, asked.backend) as ray:
            outcome = cluster.run(
                tasks,
                datasets,
                folder,
                ray,
                share,
                pipeline=asked.pipeline,
                console=console,
                seconds=seconds,
                budget=budget,
            )
    if outcome.unfit:
        say(f"not begun, as it would not have ended within {spoken(limit)}: {counted(len(outcome.unfit), 'run')}")
    if outcome.elsewhere:
        say(f"left to another process: {counted(len(outcome.elsewhere), 'run')}")
    return outcome, budget.speeds
