"""Gates of squeeze-and-excite: their mean by class and block, and how much a channel's gate differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kmodels.report.figures import COLOURS, MARKERS, cell_label
from kmodels.results.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["draw_gates", "gates_in_words"]


def draw_gates(figure: Figure, found: Mapping[str, Sequence[Run]], class_names: Sequence[str]) -> None:
    """Draws a row of two panels a cell.

    Args:
        figure: an empty one.
        found: cell -> its runs that observed gates.
        class_names: of the data set; numbers where none are given.
    """
    figure.set_figheight(1.2 + 3.6 * len(found))
    rows = figure.subfigures(len(found), 1, squeeze=False)[:, 0]
    for part, (cell, runs) in zip(rows, found.items(), strict=True):
        _draw_cells_gates(part, cell_label(cell, len(runs)), [run.observations["gates"] for run in runs], class_names)


def _draw_cells_gates(part: SubFigure, title: str, gates: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    by_class, by_block = part.subplots(1, 2, width_ratios=(3, 2))
    blocks = gates[0]["blocks"]
    mean, sd = (_array([one[key] for one in gates]).mean(axis=0) for key in ("mean", "sd"))
    places = np.arange(mean.shape[1])
    for index, block in enumerate(blocks):
        colour, shift = COLOURS[index % len(COLOURS)], 0.6 * ((index + 0.5) / len(blocks) - 0.5)
        look = {"color": colour, "fmt": MARKERS[index % len(MARKERS)], "markersize": 4, "linewidth": 1}
        by_class.errorbar(places + shift, mean[index], yerr=sd[index], label=block, **look)
    labels = [str(place) for place in places] if len(names) != len(places) else list(names)
    turned = {"rotation": 45, "ha": "right"} if any(len(label) > 3 for label in labels) else {}
    by_class.set_xticks(places, labels, **turned)
    part.suptitle(title, fontsize=10)
    by_class.set_title("mean gate, bars ± 1 sd over a class's images", fontsize=10)
    by_class.set_ylabel("mean gate")
    by_class.set_xlabel("class")
    heights = [_array([one[key] for one in gates]).mean(axis=0) for key in ("between_classes", "within_classes")]
    at = np.arange(len(blocks))
    for index, (label, values) in enumerate(zip(("between classes", "within a class"), heights, strict=True)):
        by_block.barh(at + 0.4 * index - 0.2, values, 0.38, color=COLOURS[index], label=label)
    by_block.set_yticks(at, blocks, fontsize=8)
    by_block.invert_yaxis()
    by_block.set_title("spread of a channel's gate", fontsize=10)
    by_block.set_xlabel("standard deviation")
    by_block.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)  # below
    columns = min(3, len(blocks))
    handles = by_class.get_legend_handles_labels()
    part.legend(*handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def gates_in_words(runs: Sequence[Run]) -> str:
    """Returns what a cell's panels show.

    Args:
        runs: the cell's runs.
    """
    gates = [run.observations["gates"] for run in runs]
    lowest, highest = np.nanmin(mean := _array([one["mean"] for one in gates]).mean(axis=0), 1), np.nanmax(mean, 1)
    between = _array([one["between_classes"] for one in gates]).mean(axis=0)
    parts = zip(gates[0]["blocks"], lowest, highest, between, strict=True)
    return "; ".join(
        f"{block}: mean gate of a class {low:.3g} to {high:.3g}, spread between classes {sd:.3g}"
        for block, low, high, sd in parts
    )


def _array(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)  # None becomes not a number
