"""An experiment's figures: those that are stored beside its runs, and its curves drawn where they are out of date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from kmodels.report import observation_plots, plots
from kmodels.report.figures import is_current
from kmodels.site.evidence import Part

__all__ = ["Figure", "figures"]

_DESCRIPTION = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)


@dataclass(frozen=True)
class Figure:
    """A figure of an experiment.

    Attributes:
        name: file name without its ending.
        svg: the file's content.
        alt: the figure in words.
    """

    name: str
    svg: bytes
    alt: str


def figures(part: Part, results: Path, earlier: Path, class_names: Sequence[str] = ()) -> Iterator[Figure]:
    """Yields an experiment's figures: its curves, what its runs observed, then what else was drawn beside its runs.

    What is stored is taken where it would come out the same, and drawn anew where not.

    Args:
        part: the experiment and its runs.
        results: results folder; further figures are `<experiment>-<what>.svg` in the experiment's folder, and say in
            their own description what they show.
        earlier: figures of an earlier build.
        class_names: of the data set; numbers where none are given.
    """
    experiment, home = part.experiment, results / part.experiment.name
    if plots.has_curves(experiment, part.runs, folds=part.folds):
        words = plots.alt_text(experiment, part.runs, folds=part.folds)
        inputs = plots.fingerprint(experiment, part.runs, folds=part.folds)
        stored = [folder / f"{experiment.name}.svg" for folder in (home, earlier)]
        svg = _current(stored, inputs, lambda: plots.render(experiment, part.runs, folds=part.folds))
        yield Figure(experiment.name, svg, words)
    observed = {observation_plots.file_name(what, experiment): what for what in observation_plots.FIGURES}
    for file, what in observed.items():
        if observation_plots.is_observed(what, experiment, part.runs):
            stored = [folder / f"{file}.svg" for folder in (home, earlier)]
            words = observation_plots.alt_text(what, experiment, part.runs)
            yield Figure(file, _observation(part, what, stored, class_names), words)
    for path in sorted(home.glob(f"{experiment.name}-*.svg")):
        if path.stem not in observed:
            content = path.read_bytes()
            yield Figure(path.stem, content, _described(content) or path.stem)


def _observation(part: Part, what: str, stored: Iterable[Path], names: Sequence[str]) -> bytes:
    inputs = observation_plots.fingerprint(what, part.experiment, part.runs, names)
    return _current(
        stored, inputs, lambda: observation_plots.render(what, part.experiment, part.runs, class_names=names)
    )


def _current(stored: Iterable[Path], inputs: str, render: Callable[[], dict[str, bytes]]) -> bytes:
    """The first file that was drawn from these inputs; else the figure drawn now."""
    for path in stored:
        if is_current(path, inputs):
            return path.read_bytes()
    return render()["svg"]


def _described(svg: bytes) -> str:
    found = _DESCRIPTION.search(svg.decode("utf-8", "replace"))
    return " ".join(unescape(found[1]).split()) if found else ""
