"""Where numbers come from, in a line each: how many runs, on what data, on which hardware, with which versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kmodels.durations import spoken
from kmodels.plural import counted
from kmodels.results.runs import Run

__all__ = ["made_with", "provenance", "tally"]


def provenance(runs: Iterable[Run], folds: int) -> list[str]:
    """Returns the lines that stand under a table; none where nothing has run.

    Args:
        runs: the runs behind the table.
        folds: how many folds a seed needs.
    """
    runs = list(runs)
    if not runs:
        return []
    seeds = len({run.seed for run in runs})
    each = counted(seeds, "seed") + (f" × {folds} folds" if folds > 1 else "") + " at most a cell"
    time = spoken(sum(sum(run.seconds.values()) for run in runs))
    return [
        f"Runs: {len(runs)} ({each}), {time} in total.",
        f"Data: {tally([_data(run) for run in runs])}.",
        f"Hardware: {tally([_machine(run) for run in runs])}.",
        f"Software: {_versions(runs)}; commit {tally([_commit(run) for run in runs])}.",
    ]


def made_with(run: Run) -> str:
    """Returns the hardware, the way of taking steps, the versions and the commit of one run, in a line.

    Args:
        run: what was trained.
    """
    return f"{_machine(run)}; {_versions([run])}; commit {_commit(run)}"


def tally(values: Sequence[str], noun: str = "run") -> str:
    """Returns a text that all share as it is, or each that some have with how many of them have it.

    Args:
        values: one a run, one or more.
        noun: what they are of.

    Example:
        >>> tally(["a", "a"]), tally(["a", "b", "b"])
        ('a', 'a (1 of 3 runs); b (2 of 3 runs)')
    """
    counts = Counter(values)
    if len(counts) == 1:
        return values[0]
    return "; ".join(f"{value} ({count} of {counted(len(values), noun)})" for value, count in sorted(counts.items()))


def _data(run: Run) -> str:
    sizes = [f"{run.data[f'{part}_images']} {part}" for part in ("train", "validation") if f"{part}_images" in run.data]
    source = f" from {run.data['source']}" if run.data.get("source") else ""
    return f"{run.data.get('name', run.recipe.get('dataset', 'unknown'))}{source} ({' / '.join(sizes)} images)"


def _machine(run: Run) -> str:
    threads = f", {counted(run.threads, 'thread')}" if run.threads else ""
    step = "Keras' own step" if run.execution == "keras" else f"{run.execution} step"
    return f"{run.device or 'unknown'}{threads}, {step}"


def _commit(run: Run) -> str:
    name, plus, rest = run.commit.partition("+")
    return f"{name[:10]}{plus}{rest}" or "unknown"


def _versions(runs: Sequence[Run]) -> str:
    seen: dict[str, set[str]] = {}
    for run in runs:
        for library, version in run.versions.items():
            seen.setdefault(library, set()).add(version)
    libraries = ", ".join(f"{library} {' / '.join(sorted(versions))}" for library, versions in sorted(seen.items()))
    backends = " / ".join(sorted({run.backend for run in runs if run.backend})) or "unknown"
    return f"{backends} backend" + (f", {libraries}" if libraries else "")
