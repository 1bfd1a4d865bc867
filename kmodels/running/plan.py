"""All runs of many experiments as one queue: what there is, in which order, which part of it, as plain values."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kmodels.checks import require
from kmodels.data.catalog import CATALOG
from kmodels.results.runs import REVISION, run_key
from kmodels.running.costs import network, work
from kmodels.running.estimates import Basis, Speeds
from kmodels.spec.amount import Amount
from kmodels.spec.experiment import Experiment
from kmodels.spec.tasks import Task

__all__ = ["PlannedRun", "State", "estimated", "planned", "shard", "shortest_first", "with_states"]

State = Literal["done", "begun", "running", "waiting", "needs GPU"]


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of the queue.

    Attributes:
        script: name of the script that asks for it first.
        task: what is trained.
        key: of its run file; of a data set whose digest is not pinned, a name that no file has.
        work: multiply-accumulates of the whole run, the same number on every machine.
        seconds: about how long it takes here.
        basis: where that comes from, see `kmodels.running.estimates.Estimate`.
        state: `done`; `begun` and killed; `running` in another process; `waiting`; or `needs GPU`, which is not here.
    """

    script: str
    task: Task
    key: str
    work: float
    seconds: float = 0.0
    basis: Basis = "assumed"
    state: State = "waiting"


def planned(
    parts: Iterable[tuple[str, Experiment]],
    amount: Amount,
    macs: Mapping[str, int],
    *,
    backend: str,
    pipeline: str = "memory",
) -> tuple[PlannedRun, ...]:
    """Returns every run that some experiments ask for, each once, in the order they are declared.

    Args:
        parts: script and experiment; those without a quick protocol are left out of it.
        amount: protocol, seeds and folds.
        macs: multiply-accumulates of all their networks, see `kmodels.running.costs`.
        backend: Keras backend that trains.
        pipeline: `memory` or `tfdata`.
    """
    runs: dict[str, PlannedRun] = {}
    for script, experiment in parts:
        if amount.quick and experiment.quick is None:
            continue
        for task in amount.tasks_of(experiment):
            dataset = CATALOG[task.recipe.dataset]
            key = run_key(
                task.recipe,
                data_digest=dataset.digest or f"content of {dataset.name}",
                seed=task.seed,
                fold=task.fold,
                backend=backend,
                revision=REVISION,
                pipeline=pipeline,
            )
            if key not in runs:
                runs[key] = PlannedRun(script=script, task=task, key=key, work=work(task.recipe, macs))
    return tuple(runs.values())


def with_states(
    runs: Iterable[PlannedRun],
    *,
    done: Collection[str],
    begun: Collection[str] = (),
    running: Collection[str] = (),
    gpu: bool = True,
) -> tuple[PlannedRun, ...]:
    """Returns the runs with what has become of them.

    Args:
        runs: the runs.
        done: keys that have a run file.
        begun: keys that have a checkpoint.
        running: keys that a process trains now.
        gpu: whether what needs a GPU can be trained here.
    """

    def state(run: PlannedRun) -> State:
        if run.key in done:
            return "done"
        if run.key in running:
            return "running"
        if run.task.recipe.needs_gpu and not gpu:
            return "needs GPU"
        return "begun" if run.key in begun else "waiting"

    return tuple(replace(run, state=state(run)) for run in runs)


def estimated(runs: Iterable[PlannedRun], speeds: Speeds) -> tuple[PlannedRun, ...]:
    """Returns the runs with the seconds they take here, by what is known of this machine.

    Args:
        runs: the runs.
        speeds: what is known.
    """
    found: dict[tuple[str, str], tuple[float, Basis]] = {}
    result = []
    for run in runs:
        cell = run.task.experiment, run.task.cell
        if cell not in found:
            estimate = speeds.estimate(run.task.recipe)
            found[cell] = estimate.seconds, estimate.basis
        seconds, basis = found[cell]
        result.append(replace(run, seconds=seconds, basis=basis))
    return tuple(result)


def shortest_first(runs: Sequence[PlannedRun]) -> tuple[PlannedRun, ...]:
    """Returns the runs by their seconds; where the first two digits tie, those that share a compiled step together.

    A step is compiled once for a network, batch size and precision, and a process keeps the last few, so runs that
    share one stand side by side. Among them the first seed of every cell comes before any second, so that a queue that
    is stopped leaves whole comparisons behind.
    """
    places = {run.key: place for place, run in enumerate(runs)}

    def rank(run: PlannedRun) -> tuple[float, str, int, str, int, int]:
        recipe = run.task.recipe
        kind = network(recipe)
        return _rounded(run.seconds), kind, recipe.batch_size, recipe.precision, run.task.seed, places[run.key]

    return tuple(sorted(runs, key=rank))


def _rounded(seconds: float) -> float:
    """To two digits: estimates are no better than that."""
    return seconds if seconds <= 0.0 else round(seconds, 1 - math.floor(math.log10(seconds)))


def shard(runs: Sequence[PlannedRun], index: int, count: int) -> tuple[PlannedRun, ...]:
    """Returns one of several parts that together are all runs, each in one part, and about equal in work.

    The parts depend on the runs alone: not on results that are there or on how fast a machine is, so that machines that
    know nothing of each other take different parts. No two parts differ by more than the work of the largest run.

    Args:
        runs: all runs, done or not.
        index: which part, from 1 to `count`.
        count: number of parts, 1 or more.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> shard([], 1, 2)
        ()
    """
    require(count >= 1, "count", "1 or more", count)
    require(1 <= index <= count, "index", f"1 to {count}", index)
    loads = [(0.0, part) for part in range(1, count + 1)]
    chosen: set[str] = set()
    for run in sorted(runs, key=lambda run: (-run.work, run.key)):
        load, part = heapq.heappop(loads)
        if part == index:
            chosen.add(run.key)
        heapq.heappush(loads, (load + run.work, part))
    return tuple(run for run in runs if run.key in chosen)
