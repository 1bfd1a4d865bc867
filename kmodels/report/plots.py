"""Figures of an experiment: training and validation loss and accuracy per epoch, one line a cell, spread as a band.

Matplotlib's object interface only: no global figure state, and Matplotlib is imported when the first figure is drawn.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kmodels.atomic_file import write_atomically
from kmodels.report.figures import (
    COLOURS,
    KINDS,
    STYLES,
    cell_label,
    figure_files,
    figure_settings,
    inputs_hash,
    is_current,
    legend_columns,
    spread_note,
)
from kmodels.spec.experiment import Experiment
from kmodels.stats.inference import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PANELS", "Curve", "alt_text", "average", "draw", "fingerprint", "has_curves", "render"]
__all__ += ["write_figures"]

PANELS = {
    "loss": ("Training loss", "cross-entropy (nats)"),
    "val_loss": ("Validation loss", "cross-entropy (nats)"),
    "accuracy": ("Training accuracy", "accuracy (%)"),
    "val_accuracy": ("Validation accuracy", "accuracy (%)"),
}
"""Curves of a run that are drawn: name -> title and label of the vertical axis."""


@dataclass(frozen=True)
class Curve:
    """Mean and spread of one curve over a cell's runs.

    Attributes:
        mean: one value an epoch, up to the last epoch that all runs have: further on, the mean would be of other runs.
        sd: standard deviation over the runs; None for one run.
        runs: how many runs.
    """

    mean: np.ndarray
    sd: np.ndarray | None
    runs: int


def average(runs: Runs, name: str, folds: int) -> Curve | None:
    """Returns the mean and spread of a curve over a cell's runs; None where no run has it.

    Args:
        runs: the cell's runs; folds from `folds` on are left out.
        name: name of the curve, such as `val_loss`.
        folds: number of folds of the protocol.
    """
    curves = [run.curves[name] for (_, fold), run in sorted(runs.items()) if fold < folds and run.curves.get(name)]
    if not curves:
        return None
    epochs = min(map(len, curves))
    values = np.array([curve[:epochs] for curve in curves], dtype=np.float64)
    return Curve(values.mean(axis=0), values.std(axis=0, ddof=1) if len(curves) > 1 else None, len(curves))


def draw(experiment: Experiment, runs: Mapping[str, Runs], *, folds: int, note: str = "") -> Figure:
    """Returns the figure of an experiment; the caller saves it.

    Args:
        experiment: what was asked; sets title and order of the cells.
        runs: cell -> its runs by (seed, fold).
        folds: number of folds of the protocol; further folds are left out.
        note: added to the title, such as "quick protocol"; may be empty.
    """
    from matplotlib.figure import Figure

    with figure_settings():
        figure = Figure(figsize=(8, 7), layout="constrained")
        figure.suptitle("\n".join(textwrap.wrap(_title(experiment, note), 80)), fontsize=11, fontweight="bold")
        panels = figure.subplots(2, 2, sharex=True, sharey="row")
        counts = []
        drawn = [cell for cell in experiment.all_cells() if runs.get(cell)]
        for (name, (_, label)), axes in zip(PANELS.items(), panels.flat, strict=True):
            axes.set_title(_panel_title(experiment, name, drawn), fontsize=10)
            axes.set_ylabel(label)
            axes.set_xlabel("epoch")
            axes.tick_params(labelleft=True, labelbottom=True)
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            for index, cell in enumerate(experiment.all_cells()):
                curve = average(runs.get(cell, {}), name, folds)
                if curve is not None:
                    counts.append(curve.runs)
                    _draw_curve(axes, curve, index, _label(experiment, cell, curve.runs), 100 if "%" in label else 1)
        handles, labels = panels.flat[0].get_legend_handles_labels()
        columns = legend_columns(labels)
        figure.set_figheight(max(7, 6 + 0.2 * -(-len(labels) // columns)))  # many cells take no room from the panels
        caption = "\n".join(textwrap.wrap(spread_note(counts, "line", "band"), 100))
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            title=caption,
            fontsize=9,
            title_fontsize=8,
            handlelength=3.5,
        )
        return figure


def _draw_curve(axes: Axes, curve: Curve, index: int, label: str, scale: int) -> None:
    epochs = np.arange(1, len(curve.mean) + 1)
    colour, style = COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]
    marker = "o" if len(epochs) < 4 else ""  # one epoch would draw no line at all
    axes.plot(epochs, scale * curve.mean, color=colour, linestyle=style, marker=marker, markersize=4, label=label)
    if curve.sd is not None:
        low, high = scale * (curve.mean - curve.sd), scale * (curve.mean + curve.sd)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0)


def _title(experiment: Experiment, note: str) -> str:
    return f"{experiment.name}: {experiment.question}" + (f" ({note})" if note else "")


def _panel_title(experiment: Experiment, name: str, cells: Sequence[str]) -> str:
    """The title of a panel, which says that what is called validation are the test images, where they are."""
    kinds = {experiment.recipe(cell).split.kind == "test" for cell in cells}
    title = PANELS[name][0]
    if kinds == {True}:
        return title.replace("Validation", "Test")
    return title.replace("Validation", "Validation or test") if True in kinds else title


def _label(experiment: Experiment, cell: str, runs: int) -> str:
    return cell_label(experiment.shown(cell), runs)


def alt_text(experiment: Experiment, runs: Mapping[str, Runs], *, folds: int, note: str = "") -> str:
    """Returns the figure in words: what is drawn, and where each line ends.

    Args:
        experiment: what was asked.
        runs: cell -> its runs by (seed, fold).
        folds: number of folds of the protocol.
        note: as for `draw`.
    """
    drawn = [cell for cell in experiment.all_cells() if runs.get(cell)]
    titles = ", ".join(_panel_title(experiment, name, drawn).lower() for name in PANELS)
    lines = [f"{_title(experiment, note)}. Four panels against the epoch: {titles}."]
    for cell in experiment.all_cells():
        ends = {name: average(runs.get(cell, {}), name, folds) for name in PANELS}
        told = [
            f"{_panel_title(experiment, name, [cell]).lower()} "
            + (f"{100 * c.mean[-1]:.2f} %" if "accuracy" in name else f"{c.mean[-1]:.4f}")
            for name, c in ends.items()
            if c is not None
        ]
        some = next((c for c in ends.values() if c is not None), None)
        if some is not None:
            lines.append(f"{_label(experiment, cell, some.runs)}: after epoch {len(some.mean)} {', '.join(told)}.")
    return " ".join(lines)


def render(experiment: Experiment, runs: Mapping[str, Runs], *, folds: int, note: str = "") -> dict[str, bytes]:
    """Returns the figure's files as bytes, `svg` and `png`: the same arguments always give the same bytes.

    Args:
        experiment: what was asked.
        runs: cell -> its runs by (seed, fold).
        folds: number of folds of the protocol.
        note: as for `draw`.
    """
    inputs = fingerprint(experiment, runs, folds=folds, note=note)
    words = alt_text(experiment, runs, folds=folds, note=note)
    with figure_settings():
        figure = draw(experiment, runs, folds=folds, note=note)
        about = {"Title": _title(experiment, note), "Description": words, "Identifier": inputs}
        return figure_files(figure, about)


def has_curves(experiment: Experiment, runs: Mapping[str, Runs], *, folds: int) -> bool:
    """Returns whether `draw` has a curve to draw, of an experiment that asks for more than counts."""
    cells = () if experiment.only_counts else experiment.all_cells()
    return any(average(runs.get(cell, {}), name, folds) is not None for cell in cells for name in PANELS)


def fingerprint(experiment: Experiment, runs: Mapping[str, Runs], *, folds: int, note: str = "") -> str:
    """Returns a hash over all that a figure says: its words, its curves and this file.

    Matplotlib's version is not in it: another one may move a label, but makes no figure out of date.

    Args:
        experiment: what was asked.
        runs: cell -> its runs by (seed, fold).
        folds: number of folds of the protocol.
        note: as for `draw`.
    """
    parts = inputs_hash(__file__)
    parts.update(alt_text(experiment, runs, folds=folds, note=note).encode())
    for cell in experiment.all_cells():
        for name in PANELS:
            curve = average(runs.get(cell, {}), name, folds)
            parts.update(b"|" if curve is None else curve.mean.tobytes())
            parts.update(b"|" if curve is None or curve.sd is None else curve.sd.tobytes())
    return f"kmodels-inputs:{parts.hexdigest()}"


def write_figures(
    experiment: Experiment, runs: Mapping[str, Runs], folder: Path, *, folds: int, note: str = ""
) -> list[Path]:
    """Writes `<experiment>.svg` and `.png` and returns their paths; none where no run has a curve.

    Files whose fingerprint says that they would come out the same are left as they are, which spares a report without
    news Matplotlib's import. Files of an earlier time are removed where there is nothing to draw any more.

    Args:
        experiment: what was asked.
        runs: cell -> its runs by (seed, fold).
        folder: where the files go; made where it does not exist.
        folds: number of folds of the protocol.
        note: as for `draw`.

    Raises:
        OSError: a file cannot be written; the old one is left whole.
    """
    paths = {kind: folder / f"{experiment.name}.{kind}" for kind in KINDS}
    if not has_curves(experiment, runs, folds=folds):
        for path in paths.values():
            path.unlink(missing_ok=True)
        return []
    inputs = fingerprint(experiment, runs, folds=folds, note=note)
    if not all(is_current(path, inputs) for path in paths.values()):
        for kind, content in render(experiment, runs, folds=folds, note=note).items():
            write_atomically(paths[kind], content)
    return list(paths.values())
