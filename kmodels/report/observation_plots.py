"""Figures of what trainings observed: gradients by layer, gates by class, accuracy against size."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kmodels.atomic_file import write_atomically
from kmodels.report import gate_figure, gradient_figure, size_figure
from kmodels.report.figures import KINDS, cell_label, figure_files, figure_settings, inputs_hash, is_current
from kmodels.report.gate_figure import draw_gates, gates_in_words
from kmodels.report.gradient_figure import draw_gradients, gradients_in_words
from kmodels.report.size_figure import draw_size, size_in_words
from kmodels.results.runs import Run
from kmodels.spec.experiment import Experiment
from kmodels.stats.inference import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "alt_text", "draw", "file_name", "fingerprint", "is_observed", "render"]
__all__ += ["write_observation_figures"]

FIGURES = {
    "gradient_norms": "Gradient of each layer's kernel over the training",
    "gates": "Gates of squeeze-and-excite by class",
    "size": "Accuracy against parameters and operations",
}
"""What is drawn, by the name that a recipe's `observe` has for it."""

_DRAWN_BY = (gradient_figure.__file__, gate_figure.__file__, size_figure.__file__)
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
        figure = Figure(figsize=(8, 4), layout="constrained")
        figure.suptitle("\n".join(textwrap.wrap(_title(name, experiment), 80)), fontsize=11, fontweight="bold")
        if name == "gradient_norms":
            draw_gradients(figure, found)
        elif name == "gates":
            draw_gates(figure, found, class_names)
        else:
            draw_size(figure, found)
        return figure


def _observed(name: str, experiment: Experiment, runs: Mapping[str, Runs]) -> _Observed:
    """Returns the runs that observed it by their cells' shown names, in order; a cell without any is left out."""
    found = {
        experiment.shown(cell): [run for _, run in sorted(runs.get(cell, {}).items()) if name in run.observations]
        for cell in experiment.all_cells()
    }
    return {cell: some for cell, some in found.items() if some}


def _title(name: str, experiment: Experiment) -> str:
    return f"{experiment.name}: {FIGURES[name][0].lower()}{FIGURES[name][1:]}"


def alt_text(name: str, experiment: Experiment, runs: Mapping[str, Runs]) -> str:
    """Returns one of the figures in words.

    Args:
        name: a key of `FIGURES`.
        experiment: what was asked.
        runs: cell -> its runs by (seed, fold).
    """
    tell: Callable[[Sequence[Run]], str] = {
        "gradient_norms": gradients_in_words,
        "gates": gates_in_words,
        "size": size_in_words,
    }[name]
    lines = [
        f"{cell_label(cell, len(some))}: {tell(some)}." for cell, some in _observed(name, experiment, runs).items()
    ]
    return " ".join([f"{_title(name, experiment)}.", *lines])


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
    parts = inputs_hash(__file__, *_DRAWN_BY)
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
