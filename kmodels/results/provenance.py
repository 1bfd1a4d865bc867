"""Where numbers come from, in a line each: how many runs, on what data, on which hardware, with which versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

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
    each = f"{seeds} seed{'' if seeds == 1 else 's'}" + (f" × {folds} folds" if folds > 1 else "") + " at most a cell"
    hours = sum(sum(run.seconds.values()) for run in runs) / 3600
    time = f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
    return [
        f"Runs: {len(runs)} ({each}), {time} in total.",
        f"Data: {tally([_data(run) for run in runs])}.",
        f"Hardware: {tally([_machine(run) for run in runs])}.",
        f"Software: {_versions(runs)}; commit {tally([_commit(run) for run in runs])}.",
    ]


def made_with(run: Run) -> str:
    """Returns the hardware, the versions and the commit of one run, in a line."""
    return f"{_machine(run)}; {_versions([run])}; commit {_commit(run)}"


def tally(values: Sequence[str]) -> str:
    """Returns a text that all runs share as it is, or each that some have with how many of them have it."""
    counts = Counter(values)
    if len(counts) == 1:
        return values[0]
    return "; ".join(f"{value} ({count} of {len(values)} runs)" for value, count in sorted(counts.items()))


def _data(run: Run) -> str:
    sizes = [f"{run.data[f'{part}_images']} {part}" for part in ("train", "validation") if f"{part}_images" in run.data]
    source = f" from {run.data['source']}" if run.data.get("source") else ""
    return f"{run.data.get('name', run.recipe.get('dataset', 'unknown'))}{source} ({' / '.join(sizes)} images)"


def _machine(run: Run) -> str:
    threads = f", {run.threads} thread{'' if run.threads == 1 else 's'}" if run.threads else ""
    return f"{run.device or 'unknown'}{threads}"


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
