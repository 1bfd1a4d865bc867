"""Accuracy against what a network costs: a point a cell, over its parameters and over its operations."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kmodels.report.figures import COLOURS, MARKERS, cell_label, legend_columns, set_log_ticks, spread_note
from kmodels.results.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_size", "size_in_words"]

_COSTS = {"parameters": "trainable parameters", "macs": "multiply-accumulates an image"}


def draw_size(figure: Figure, found: Mapping[str, Sequence[Run]]) -> None:
    """Draws two panels that share their vertical axis.

    Args:
        figure: an empty one.
        found: cell -> its runs that counted parameters and operations.
    """
    counts = [len(runs) for runs in found.values()]
    labels = [cell_label(cell, count) for cell, count in zip(found, counts, strict=True)]
    columns = legend_columns(labels)
    figure.set_figheight(3.8 + 0.2 * -(-len(labels) // columns))  # the legend takes its rows from no panel
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (key, cost) in zip(panels, _COSTS.items(), strict=True):
        for index, (label, runs) in enumerate(zip(labels, found.values(), strict=True)):
            accuracies = 100 * np.array([run.scores["validation_accuracy"] for run in runs])
            axes.errorbar(
                runs[0].observations["size"][key],
                accuracies.mean(),
                yerr=accuracies.std(ddof=1) if len(runs) > 1 else None,
                fmt=MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                markeredgecolor="white",  # parts points that lie upon one another
                markeredgewidth=0.6,
                markersize=8,
                label=label,
            )
        set_log_ticks(axes)
        axes.set_xlabel(cost)
        axes.set_ylabel(f"{_accuracy(run for runs in found.values() for run in runs)} (%)")
        axes.tick_params(labelleft=True)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        title="\n".join(textwrap.wrap(spread_note(counts, "point", "bars"), 100)),
        title_fontsize=8,
    )


def size_in_words(runs: Sequence[Run]) -> str:
    """Returns where a cell's points are.

    Args:
        runs: the cell's runs.
    """
    size, accuracy = runs[0].observations["size"], np.mean([run.scores["validation_accuracy"] for run in runs])
    counts = f"{size['parameters']:,} parameters, {size['macs']:,} operations"
    return f"{counts}, {_accuracy(runs)} {100 * accuracy:.2f} %"


def _accuracy(runs: Iterable[Run]) -> str:
    """What an accuracy is called: that of test images, where they validated."""
    kinds = {run.recipe["split"]["kind"] == "test" for run in runs}
    if kinds == {True}:
        return "test accuracy"
    return "validation or test accuracy" if True in kinds else "validation accuracy"
