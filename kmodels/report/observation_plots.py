"""Figures of what trainings observed: gradients by layer, gates by class, accuracy against size."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kmodels.atomic_file import write_atomically
from kmodels.plural import counted
from kmodels.report.figures import COLOURS, KINDS, STYLES, figure_files, figure_settings, inputs_hash, is_current
from kmodels.results.runs import Run
from kmodels.spec.experiment import Experiment
from kmodels.stats.inference import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["FIGURES", "alt_text", "draw", "file_name", "fingerprint", "is_observed", "render"]
__all__ += ["write_observation_figures"]

FIGURES = {
    "gradient_norms": "Gradient of each layer's kernel over the training",
    "gates": "Gates of squeeze-and-excite by class",
    "size": "Accuracy against parameters and operations",
}
"""What is drawn, by the name that a recipe's `observe` has for it."""

_MOST_LINES = 6
_MARKERS = "osD^vP*Xhd"
_Observed = Mapping[str, Sequence[Run]]


def draw(name: str, experiment: Experiment, runs: Mapping[str, Runs], *, class_names: Sequence[str] = ()) -> Figure:
    """Returns one of the figures; the caller saves it.

    Args:
        name: a key of `FIGURES`.
        experiment: what was asked; sets title and order of the cells.
        runs: cell -> its runs by (seed, fold); at least one of them observed what is drawn.
        class_names: of the data set, for `gates`; numbers where none are given.
    """
    from matplotlib.figure import Figure

    found = _observed(name, experiment, runs)
    with figure_settings():
        figure = Figure(figsize=(8, _heights(name, found)), layout="constrained")
        figure.suptitle("\n".join(textwrap.wrap(_title(name, experiment), 80)), fontsize=11, fontweight="bold")
        if name == "gradient_norms":
            _draw_gradients(figure, found)
        elif name == "gates":
            _draw_gates(figure, found, class_names)
        else:
            _draw_size(figure, found)
        return figure


def _heights(name: str, found: _Observed) -> float:
    if name == "gradient_norms":
        return 1.4 + 2.4 * -(-len(found) // 2)
    return 1.2 + 3.6 * len(found) if name == "gates" else 4.8


def _observed(name: str, experiment: Experiment, runs: Mapping[str, Runs]) -> _Observed:
    """Returns the runs of each cell that observed it, in order; a cell without any is left out."""
    found = {
        cell: [run for _, run in sorted(runs.get(cell, {}).items()) if name in run.observations]
        for cell in experiment.all_cells()
    }
    return {cell: some for cell, some in found.items() if some}


def _title(name: str, experiment: Experiment) -> str:
    return f"{experiment.name}: {FIGURES[name][0].lower()}{FIGURES[name][1:]}"


def _shown(cell: str, runs: Sequence[Run]) -> str:
    return f"{cell}, {counted(len(runs), 'run')}"


def _array(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)  # None becomes not a number


def _mean_norms(runs: Sequence[Run]) -> np.ndarray:
    """Geometric mean over a cell's runs, `(probes, layers)`, of the layers that are more than a 1x1 convolution.

    Shortcuts and gates lie beside the path that the figure follows.
    """
    probes = min(len(run.observations["gradient_norms"]["norms"]) for run in runs)
    values = _array([run.observations["gradient_norms"]["norms"][:probes] for run in runs])
    sizes = np.array(runs[0].observations["gradient_norms"]["kernel_sizes"])
    with np.errstate(divide="ignore"):
        logarithms = np.log10(values)
    logarithms[~np.isfinite(logarithms)] = np.nan  # a gradient of zero has no place on the axis
    return np.asarray(
        (10 ** logarithms.mean(axis=0))[:, sizes != 1] if (sizes != 1).any() else 10 ** logarithms.mean(0)
    )


def _draw_gradients(figure: Figure, found: _Observed) -> None:
    from matplotlib import colormaps

    columns = min(2, len(found))
    panels = figure.subplots(-(-len(found) // columns), columns, sharey=True, squeeze=False)
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
        axes.set_title(_shown(cell, runs), fontsize=10)
        axes.set_xlabel("layer, from first to last")
        axes.set_ylabel("norm of the gradient")
        axes.tick_params(labelleft=True)
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels.flat[len(found) :]:
        axes.set_visible(False)
    handles, labels = max((axes.get_legend_handles_labels() for axes in panels.flat), key=lambda part: len(part[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9, handlelength=3.5)


def _draw_gates(figure: Figure, found: _Observed, class_names: Sequence[str]) -> None:
    rows = figure.subfigures(len(found), 1, squeeze=False)[:, 0]
    for part, (cell, runs) in zip(rows, found.items(), strict=True):
        _draw_cells_gates(part, _shown(cell, runs), [run.observations["gates"] for run in runs], class_names)


def _draw_cells_gates(part: SubFigure, title: str, gates: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    by_class, by_block = part.subplots(1, 2, width_ratios=(3, 2))
    blocks = gates[0]["blocks"]
    mean, sd = (_array([one[key] for one in gates]).mean(axis=0) for key in ("mean", "sd"))
    places = np.arange(mean.shape[1])
    for index, block in enumerate(blocks):
        colour, shift = COLOURS[index % len(COLOURS)], 0.6 * ((index + 0.5) / len(blocks) - 0.5)
        look = {"color": colour, "fmt": _MARKERS[index % len(_MARKERS)], "markersize": 4, "linewidth": 1}
        by_class.errorbar(places + shift, mean[index], yerr=sd[index], label=block, **look)
    labels = [str(place) for place in places] if len(names) != len(places) else list(names)
    turned = {"rotation": 45, "ha": "right"} if any(len(label) > 3 for label in labels) else {}
    by_class.set_xticks(places, labels, **turned)
    by_class.set_title(f"{title}: mean gate, bars ± 1 sd over images", fontsize=10)
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


def _draw_size(figure: Figure, found: _Observed) -> None:
    panels = figure.subplots(1, 2, sharey=True)
    labels = {"parameters": "trainable parameters", "macs": "multiply-accumulates an image"}
    for axes, (key, label) in zip(panels, labels.items(), strict=True):
        for index, (cell, runs) in enumerate(found.items()):
            accuracies = 100 * _array([run.scores["validation_accuracy"] for run in runs])
            axes.errorbar(
                runs[0].observations["size"][key],
                accuracies.mean(),
                yerr=accuracies.std(ddof=1) if len(runs) > 1 else None,
                fmt=_MARKERS[index % len(_MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                label=_shown(cell, runs),
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


def alt_text(name: str, experiment: Experiment, runs: Mapping[str, Runs]) -> str:
    """Returns one of the figures in words.

    Args:
        name: a key of `FIGURES`.
        experiment: what was asked.
        runs: cell -> its runs by (seed, fold).
    """
    tell: Callable[[Sequence[Run]], str] = {
        "gradient_norms": _gradients_in_words,
        "gates": _gates_in_words,
        "size": _size_in_words,
    }[name]
    lines = [f"{_shown(cell, some)}: {tell(some)}." for cell, some in _observed(name, experiment, runs).items()]
    return " ".join([f"{_title(name, experiment)}.", *lines])


def _gradients_in_words(runs: Sequence[Run]) -> str:
    norms = _mean_norms(runs)
    ends = [(norms[0], "before the training"), (norms[-1], f"after epoch {len(norms) - 1}")]
    told = [f"{when} {probe[0]:.3g} in the first and {probe[-1]:.3g} in the last layer" for probe, when in ends]
    return f"norm over {norms.shape[1]} layers {', '.join(told)}"


def _gates_in_words(runs: Sequence[Run]) -> str:
    gates = [run.observations["gates"] for run in runs]
    lowest, highest = np.nanmin(mean := _array([one["mean"] for one in gates]).mean(axis=0), 1), np.nanmax(mean, 1)
    between = _array([one["between_classes"] for one in gates]).mean(axis=0)
    parts = zip(gates[0]["blocks"], lowest, highest, between, strict=True)
    return "; ".join(
        f"{block}: mean gate of a class {low:.3g} to {high:.3g}, spread between classes {sd:.3g}"
        for block, low, high, sd in parts
    )


def _size_in_words(runs: Sequence[Run]) -> str:
    size, accuracy = runs[0].observations["size"], np.mean([run.scores["validation_accuracy"] for run in runs])
    return f"{size['parameters']:,} parameters, {size['macs']:,} operations, validation accuracy {100 * accuracy:.2f} %"


def render(
    name: str, experiment: Experiment, runs: Mapping[str, Runs], *, class_names: Sequence[str] = ()
) -> dict[str, bytes]:
    """Returns a figure's files as bytes, `svg` and `png`: the same arguments always give the same bytes.

    Args:
        name: a key of `FIGURES`.
        experiment: what was asked.
        runs: cell -> its runs by (seed, fold).
        class_names: as for `draw`.
    """
    about = {"Title": _title(name, experiment), "Description": alt_text(name, experiment, runs)}
    figure = draw(name, experiment, runs, class_names=class_names)
    with figure_settings():
        return figure_files(figure, {**about, "Identifier": fingerprint(name, experiment, runs, class_names)})


def is_observed(name: str, experiment: Experiment, runs: Mapping[str, Runs]) -> bool:
    """Returns whether any run observed what a figure shows, and that says something; arguments as those of `draw`."""
    return bool(_observed(name, experiment, runs)) and not (name == "size" and experiment.only_counts)


def file_name(name: str, experiment: Experiment) -> str:
    """Returns the name of a figure's files, without its ending."""
    return f"{experiment.name}-{name.replace('_', '-')}"


def fingerprint(name: str, experiment: Experiment, runs: Mapping[str, Runs], class_names: Sequence[str]) -> str:
    """Returns a hash over all that a figure says; arguments as those of `draw`."""
    parts = inputs_hash(__file__)
    parts.update(repr((_title(name, experiment), list(class_names))).encode())
    for cell, some in _observed(name, experiment, runs).items():
        seen = [(run.scores["validation_accuracy"], run.observations[name]) for run in some]
        parts.update(repr((cell, [(score, sorted(values.items())) for score, values in seen])).encode())
    return f"kmodels-inputs:{parts.hexdigest()}"


def write_observation_figures(
    experiment: Experiment, runs: Mapping[str, Runs], folder: Path, *, class_names: Sequence[str] = ()
) -> list[Path]:
    """Writes `<experiment>-<what>.svg` and `.png` for all that was observed and returns their paths.

    Files that would come out the same are left as they are; those of an earlier time are removed where there is nothing
    to draw any more.

    Args:
        experiment: what was asked.
        runs: cell -> its runs by (seed, fold).
        folder: where the files go; made where it does not exist.
        class_names: as for `draw`.

    Raises:
        OSError: a file cannot be written; the old one is left whole.
    """
    written: list[Path] = []
    for name in FIGURES:
        paths = {kind: folder / f"{file_name(name, experiment)}.{kind}" for kind in KINDS}
        if not is_observed(name, experiment, runs):
            for path in paths.values():
                path.unlink(missing_ok=True)
            continue
        inputs = fingerprint(name, experiment, runs, class_names)
        if not all(is_current(path, inputs) for path in paths.values()):
            for kind, content in render(name, experiment, runs, class_names=class_names).items():
                write_atomically(paths[kind], content)
        written += paths.values()
    return written
