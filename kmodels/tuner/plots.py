"""Figures of a search: the score against each hyper-parameter, and over the trials.

Matplotlib's object interface only, and imported when the first figure is drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmodels.atomic_file import write_atomically
from kmodels.plural import counted
from kmodels.report.figures import COLOURS, figure_files, figure_settings, set_log_ticks
from kmodels.tuner.trials import Search, TrialResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_hyperparameters", "draw_trials", "write_search_figures"]

_SCORE, _BEST = COLOURS[:2]
_TICK_POINTS = 8
_PANEL_POINTS = 3.2 * 72  # the least that a panel of two beside each other is wide


def draw_hyperparameters(search: Search) -> Figure:
    """Returns one panel for each hyper-parameter: every trial a point, the best one marked.

    Raises:
        ValueError: no trial has a score.
    """
    from matplotlib.figure import Figure

    done = _scored(search)
    names = list(dict.fromkeys(name for trial in done for name in trial.hyperparameters))
    columns = min(2, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    figure = Figure(figsize=(4 * columns, 0.8 + 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    best = search.best()[0]
    scale, label = _unit(search)
    marks: dict[str, Any] = {}
    for axes, name in zip(panels.flat, names, strict=False):
        with_it = [trial for trial in done if name in trial.hyperparameters]
        values = [trial.hyperparameters[name] for trial in with_it]
        places = _places(values)
        [marks["trial"]] = axes.plot(places, _scores(with_it, scale), "o", color=_SCORE, alpha=0.7)
        if best in with_it:
            place = places[with_it.index(best)]
            [marks["best trial"]] = axes.plot(place, _scores([best], scale), "*", color=_BEST, markersize=14)
        _set_ticks(axes, values)
        axes.set_xlabel(name)
        axes.set_ylabel(label)
        axes.tick_params(labelsize=_TICK_POINTS, labelleft=True)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    figure.suptitle(f"{search.name}: score against each hyper-parameter", fontsize=11, fontweight="bold")
    figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def draw_trials(search: Search) -> Figure:
    """Returns the score of each trial in the order in which they began, and the best so far.

    Raises:
        ValueError: no trial has a score.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    _scored(search)
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots()
    better: Callable[..., float] = max if search.direction == "max" else min
    scale, label = _unit(search)
    places = [number for number, trial in enumerate(search.trials) if trial.mean is not None]
    done = [search.trials[place] for place in places]
    scores = _scores(done, scale)
    spread, note = _spread(done)
    if any(spread):
        axes.errorbar(places, scores, yerr=[scale * sd for sd in spread], fmt="o", color=_SCORE, label="trial")
    else:
        axes.plot(places, scores, "o", color=_SCORE, label="trial")
    so_far = [better(scores[: number + 1]) for number in range(len(scores))]
    axes.step(places, so_far, where="post", color=_BEST, label="best so far", zorder=1)
    axes.set_xlabel("trial")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    figure.suptitle(f"{search.name}: {counted(len(search.trials), 'trial')}", fontsize=11, fontweight="bold")
    failed = len(search.trials) - len(scores)
    title = note + (f" Without a score and not shown: {counted(failed, 'trial')}." if failed else "")
    look: dict[str, Any] = {"frameon": False, "fontsize": 9, "title": title, "title_fontsize": 8}
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, **look)
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


def _unit(search: Search) -> tuple[int, str]:
    """What scores are multiplied with, and the label of their axis: percent as in the table of trials."""
    return (100, f"{search.metric} (%)") if search.is_share else (1, search.metric)


def _scores(trials: Sequence[TrialResult], scale: int) -> list[float]:
    return [scale * trial.mean for trial in trials if trial.mean is not None]


def _spread(trials: Sequence[TrialResult]) -> tuple[list[float], str]:
    """The standard deviation of each trial, of one kind for all, and what it is over; zeros where there is none."""
    for kind, numbers, over in (
        ("sd", {trial.seeds for trial in trials}, "seed"),
        ("fold_sd", {trial.folds for trial in trials}, "fold"),
    ):
        spread = [getattr(trial, kind) or 0.0 for trial in trials]
        if any(spread):
            return spread, f"Bars: ± 1 standard deviation over {counted(max(numbers), over)}, no confidence interval."
    if all(len(trial.values) == 1 for trial in trials):
        return spread, "One score a trial, of one held-out part and one seed, so no spread is known."
    return spread, ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _places(values: Sequence[Any]) -> list[float]:
    """Numbers stand where they are, the rest in a row."""
    if all(map(_is_number, values)):
        return [float(value) for value in values]
    kinds = sorted(set(map(str, values)))
    return [float(kinds.index(str(value))) for value in values]


def _set_ticks(axes: Axes, values: Sequence[Any]) -> None:
    """Names the values that were tried where they leave room for that; numbers over a factor of 10 or more go by logs.

    Args:
        axes: all is drawn in it already.
        values: of the hyper-parameter.
    """
    from matplotlib.ticker import MaxNLocator

    if not all(map(_is_number, values)):
        kinds = sorted(set(map(str, values)))
        axes.set_xlim(-0.5, len(kinds) - 0.5)
        axes.set_xticks(range(len(kinds)), kinds)
        if not _fits(range(len(kinds)), kinds, len(kinds)):
            axes.tick_params(axis="x", labelrotation=30)
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
        return
    logarithmic = min(values) > 0 and max(values) >= 10 * min(values)
    if logarithmic:
        set_log_ticks(axes)
    else:
        whole = all(isinstance(value, int) for value in values)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole, min_n_ticks=1, steps=[1, 2, 5, 10]))
    tried = sorted(set(values))
    transform = axes.xaxis.get_transform()
    low, high = transform.transform(list(axes.get_xlim()))
    names = [f"{value:g}" for value in tried]
    if _fits(list(transform.transform(list(map(float, tried)))), names, high - low):
        axes.set_xticks(tried, names)
        axes.set_xticks([], minor=True)


def _fits(places: Sequence[float], names: Sequence[str], width: float) -> bool:
    """Whether names have room side by side; places and the axis's width are in the same units."""
    letter = 0.65 * _TICK_POINTS  # width of a digit, roughly
    gaps = [_PANEL_POINTS * (right - left) / width for left, right in itertools.pairwise(places)]
    needs = [letter * (len(left) + len(right) + 1) / 2 for left, right in itertools.pairwise(names)]
    return all(gap >= need for gap, need in zip(gaps, needs, strict=True))
