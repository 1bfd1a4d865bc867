"""An experiment's figures: those that are stored beside its runs, and its curves drawn where they are out of date."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from kmodels import plots
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


def figures(part: Part, results: Path, earlier: Path) -> Iterator[Figure]:
    """Yields an experiment's figures: its curves, if a run has any, then what else was drawn beside its runs.

    Args:
        part: the experiment and its runs.
        results: results folder; further figures are `<experiment>-<what>.svg` in the experiment's folder, and say in
            their own description what they show.
        earlier: figures of an earlier build, which are taken where they would come out the same.
    """
    experiment, home = part.experiment, results / part.experiment.name
    names = ((cell, name) for cell in experiment.all_cells() for name in plots.PANELS)
    if any(plots.average(part.runs.get(cell, {}), name, part.folds) for cell, name in names):
        words = plots.alt_text(experiment, part.runs, folds=part.folds)
        yield Figure(
            experiment.name, _curves(part, [folder / f"{experiment.name}.svg" for folder in (home, earlier)]), words
        )
    for path in sorted(home.glob(f"{experiment.name}-*.svg")):
        content = path.read_bytes()
        yield Figure(path.stem, content, _described(content) or path.stem)


def _curves(part: Part, stored: Iterable[Path]) -> bytes:
    inputs = plots.fingerprint(part.experiment, part.runs, folds=part.folds)
    for path in stored:
        content = path.read_bytes() if path.is_file() else b""
        if inputs.encode() in content and content.endswith(b"</svg>\n"):
            return content
    return plots.render(part.experiment, part.runs, folds=part.folds)["svg"]


def _described(svg: bytes) -> str:
    found = _DESCRIPTION.search(svg.decode("utf-8", "replace"))
    return " ".join(unescape(found[1]).split()) if found else ""
