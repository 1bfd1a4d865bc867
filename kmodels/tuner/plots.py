"""Figures of a search: the score against each hyper-parameter, and over the trials.

Matplotlib's object interface only, and imported when the first figure is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmodels.atomic_file import write_atomically
from kmodels.report.figures import COLOURS, figure_files, figure_settings
from kmodels.tuner.trials import Search, TrialResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_hyperparameters", "draw_trials", "write_search_figures"]

_SCORE, _BEST = COLOURS[:2]


def draw_hyperparameters(search: Search) -> Figure:
    """Returns one panel for each hyper-parameter: every trial a point, the best one marked.

    Raises:
        ValueError: no trial has a score.
    """
    from matplotlib.figure import Figure

    done = _scored(search)
    names = list(dict.fromkeys(name for trial in done for name in trial.hyperparameters))
    columns = min(3, max(1, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    figure = Figure(figsize=(3.6 * columns, 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    best = search.best()[0]
    for number, axes in enumerate(panels.flat):
        if number >= len(names):
            axes.set_visible(False)
            continue
        name = names[number]
        with_it = [trial for trial in done if name in trial.hyperparameters]
        values = [trial.hyperparameters[name] for trial in with_it]
        places = _places(axes, values)
        axes.plot(places, [t.mean for t in with_it], "o", color=_SCORE, alpha=0.7)
        if best in with_it:
            axes.plot(places[with_it.index(best)], best.mean, "*", color=_BEST, markersize=14)
        axes.set_xlabel(name)
        if number % columns == 0:
            axes.set_ylabel(search.objective.removeprefix("val_"))
    figure.suptitle(f"{search.name}: one point a trial, the star is the best")
    return figure


def draw_trials(search: Search) -> Figure:
    """Returns the score of each trial in the order in which they began, and the best so far.

    Raises:
        ValueError: no trial has a score.
    """
    from matplotlib.figure import Figure

    _scored(search)
    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    axes = figure.subplots()
    better: Callable[..., float] = max if search.direction == "max" else min
    places = [number for number, trial in enumerate(search.trials) if trial.mean is not None]
    scores = [trial.mean for trial in search.trials if trial.mean is not None]
    spread = [trial.sd or trial.fold_sd or 0.0 for trial in search.trials if trial.mean is not None]
    axes.errorbar(places, scores, yerr=spread, fmt="o", color=_SCORE, label="trial")
    so_far = [better(scores[: number + 1]) for number in range(len(scores))]
    axes.step(places, so_far, where="post", color=_BEST, label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(search.objective.removeprefix("val_"))
    failed = len(search.trials) - len(scores)
    seeds = any(trial.sd is not None for trial in search.trials)
    bars = f"bars: 1 standard deviation over {'seeds' if seeds else 'folds'}" if any(spread) else ""
    axes.set_title(", ".join(filter(None, (search.name, bars, f"{failed} without a score" if failed else ""))))
    axes.legend(frameon=False)
    return figure


def write_search_figures(search: Search, folder: Path) -> list[Path]:
    """Writes `hyperparameters` and `trials` as SVG and PNG and returns the files; the same search, the same bytes.

    Raises:
        ValueError: no trial has a score.
        OSError: a file cannot be written.
    """
    written = []
    for name, make in (("hyperparameters", draw_hyperparameters), ("trials", draw_trials)):
        with figure_settings():
            files = figure_files(make(search), {"Title": f"{search.name}: {name}"})
        for kind, content in files.items():
            path = folder / f"{name}.{kind}"
            write_atomically(path, content)
            written.append(path)
    return written


def _scored(search: Search) -> list[TrialResult]:
    done = [trial for trial in search.trials if trial.mean is not None]
    if not done:
        raise ValueError(f"search: expected a trial with a score. Received: {len(search.trials)} trials")
    return done


def _places(axes: Axes, values: list[Any]) -> list[float]:
    """Numbers stand where they are, on a logarithmic axis if they span more than a factor of 30; the rest in a row."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        if min(values) > 0 and max(values) > 30 * min(values):
            axes.set_xscale("log")
        return [float(value) for value in values]
    kinds = sorted(set(map(str, values)))
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_xlim(-0.5, len(kinds) - 0.5)
    return [float(kinds.index(str(value))) for value in values]
