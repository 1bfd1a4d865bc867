"""Accuracy against what a network costs: a point a cell, over its parameters and over its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kmodels.report.figures import COLOURS, MARKERS, cell_label
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
    figure.set_figheight(4.8)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (key, label) in zip(panels, _COSTS.items(), strict=True):
        for index, (cell, runs) in enumerate(found.items()):
            accuracies = 100 * np.array([run.scores["validation_accuracy"] for run in runs])
            axes.errorbar(
                runs[0].observations["size"][key],
                accuracies.mean(),
                yerr=accuracies.std(ddof=1) if len(runs) > 1 else None,
                fmt=MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                label=cell_label(cell, len(runs)),
            )
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.set_ylabel("validation accuracy (%)")
        axes.tick_params(labelleft=True)
    handles = panels[0].get_legend_handles_labels()
    title = "Bars: ± 1 standard deviation over a cell's runs"
    figure.legend(
        *handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9, title=title, title_fontsize=8
    )


def size_in_words(runs: Sequence[Run]) -> str:
    """Returns where a cell's points are.

    Args:
        runs: the cell's runs.
    """
    size, accuracy = runs[0].observations["size"], np.mean([run.scores["validation_accuracy"] for run in runs])
    return f"{size['parameters']:,} parameters, {size['macs']:,} operations, validation accuracy {100 * accuracy:.2f} %"
