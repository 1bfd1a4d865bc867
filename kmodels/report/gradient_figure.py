"""Gradients by layer: a panel a cell, a line for each of a few moments of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kmodels.report.figures import STYLES, cell_label
from kmodels.results.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_gradients", "gradients_in_words"]

_MOST_LINES = 6


def draw_gradients(figure: Figure, found: Mapping[str, Sequence[Run]]) -> None:
    """Draws the norm of each layer's gradient, over a cell's runs their geometric mean.

    Args:
        figure: an empty one.
        found: cell -> its runs that observed gradients.
    """
    from matplotlib import colormaps

    columns = min(2, len(found))
    rows = -(-len(found) // columns)
    figure.set_figheight(1.4 + 2.4 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    most = max((_mean_norms(runs) for runs in found.values()), key=len)
    chosen = np.unique(np.linspace(0, len(most) - 1, min(_MOST_LINES, len(most))).round().astype(int))
    for axes, (cell, runs) in zip(panels.flat, found.items(), strict=False):
        norms = _mean_norms(runs)
        for place, probe in enumerate(chosen[chosen < len(norms)]):
            label = f"after epoch {probe}" if probe else "before the training"
            colour = colormaps["viridis"](0.8 * place / max(1, len(chosen) - 1))
            style = STYLES[place % len(STYLES)]
            layers = np.arange(1, norms.shape[1] + 1)
            axes.plot(layers, norms[probe], color=colour, linestyle=style, linewidth=1.2, label=label)
        axes.set_yscale("log")
        axes.set_title(cell_label(cell, len(runs)), fontsize=10)
        axes.set_xlabel("layer, from first to last")
        axes.set_ylabel("norm of the gradient")
        axes.tick_params(labelleft=True)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    for axes in panels.flat[len(found) :]:
        axes.set_visible(False)
    handles, labels = max((axes.get_legend_handles_labels() for axes in panels.flat), key=lambda part: len(part[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9, handlelength=3.5)


def gradients_in_words(runs: Sequence[Run]) -> str:
    """Returns what a cell's panel shows.

    Args:
        runs: the cell's runs.
    """
    norms = _mean_norms(runs)
    ends = [(norms[0], "before the training"), (norms[-1], f"after epoch {len(norms) - 1}")]
    told = [f"{when} {probe[0]:.3g} in the first and {probe[-1]:.3g} in the last layer" for probe, when in ends]
    return f"norm over {norms.shape[1]} layers {', '.join(told)}"


def _mean_norms(runs: Sequence[Run]) -> np.ndarray:
    """Geometric mean over a cell's runs, `(probes, layers)`, of the layers that are more than a 1x1 convolution.

    Shortcuts and gates lie beside the path that the figure follows.
    """
    probes = min(len(run.observations["gradient_norms"]["norms"]) for run in runs)
    values = np.array([run.observations["gradient_norms"]["norms"][:probes] for run in runs], np.float64)
    sizes = np.array(runs[0].observations["gradient_norms"]["kernel_sizes"])
    with np.errstate(divide="ignore"):
        logarithms = np.log10(values)
    logarithms[~np.isfinite(logarithms)] = np.nan  # a gradient of zero has no place on the axis
    return np.asarray(
        (10 ** logarithms.mean(axis=0))[:, sizes != 1] if (sizes != 1).any() else 10 ** logarithms.mean(0)
    )
