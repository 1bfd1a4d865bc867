"""How figures look and how they become files: the same figure always gives the same bytes.

Matplotlib's object interface only: no global figure state, and Matplotlib is imported when the first figure is drawn.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmodels.plural import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "KINDS",
    "MARKERS",
    "STYLES",
    "cell_label",
    "figure_files",
    "figure_settings",
    "inputs_hash",
    "is_current",
]

# Okabe and Ito's palette, safe for colour-blind readers, without its yellow, which is lost on white. Seven colours and
# four styles together repeat after 28 lines only.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^vP*Xhd"
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "kmodels",  # else the ids inside an SVG are random
    "svg.fonttype": "none",  # text stays text: found by search and screen readers, the same bytes with any FreeType
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
}
_LAST_BYTES = {"svg": b"</svg>\n", "png": b"IEND\xaeB`\x82"}
KINDS = tuple(_LAST_BYTES)
"""Kinds of files that a figure comes in."""


def cell_label(cell: str, runs: int) -> str:
    """Returns how a figure names a cell.

    Args:
        cell: its name.
        runs: how many runs of it are shown.

    Example:
        >>> cell_label("dropout=0.4", 3)
        'dropout=0.4, 3 runs'
    """
    return f"{cell}, {counted(runs, 'run')}"


def spread_note(runs: Sequence[int], mean: str, spread: str) -> str:
    """Returns what a figure says of its means and their spread; one run has none.

    Args:
        runs: how many runs each cell has.
        mean: what shows a cell's mean.
        spread: what shows the spread over its runs.

    Example:
        >>> spread_note([1, 1], "line", "band")
        'Line: the only run of a cell, one seed, so no spread is known.'
    """
    if max(runs, default=1) == 1:
        return f"{mean.capitalize()}: the only run of a cell, one seed, so no spread is known."
    none = "; a cell with 1 run has none" if min(runs) == 1 else ""
    over = "± 1 standard deviation over these runs (all seeds and folds), not a confidence interval"
    return f"{mean.capitalize()}: mean over a cell's runs. {spread.capitalize()}: {over}{none}."


def legend_columns(labels: Sequence[str]) -> int:
    """Returns how many columns of a legend of 9 points a figure of 8 inches has room for.

    Args:
        labels: the legend's entries.
    """
    longest = max(map(len, labels), default=0)
    return 1 if longest > 44 else 2 if longest > 24 else 3


def set_log_ticks(axes: Axes) -> None:
    """Makes the horizontal axis logarithmic, with labels that are enough to read it by and too few to touch.

    Matplotlib's own are powers of ten, of which a network family's sizes may span none, and between them too many.

    Args:
        axes: 3 inches wide or more; all is drawn in it already.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    span = high / low
    steps = (1, 2, 3, 5) if span < 10 else (1, 2, 5) if span < 50 else (1, 3) if span < 1000 else (1,)
    axes.xaxis.set_major_locator(MaxNLocator(4) if span < 5 else LogLocator(subs=steps, numticks=15))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short_number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _short_number(value: float) -> str:
    units = ((1e9, " G"), (1e6, " M"), (1e3, " k"))
    scale, unit = next((one for one in units if value >= one[0]), (1.0, ""))
    return f"{value / scale:g}{unit}"


@contextmanager
def figure_settings() -> Iterator[None]:
    """Draws with our settings alone: a user's own configuration file must not change committed figures."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def figure_files(figure: Figure, about: Mapping[str, str]) -> dict[str, bytes]:
    """Returns a figure's files as bytes, `svg` and `png`; call it within `figure_settings`.

    Args:
        figure: the figure; its layout is fixed afterwards.
        about: `Title`, `Description` and `Identifier`, which go into both files.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    svg, png = io.BytesIO(), io.BytesIO()
    drawn_by = f"Matplotlib {matplotlib.__version__}"  # by another one the same figure may be other bytes
    FigureCanvasSVG(figure).print_figure(svg, format="svg", metadata={**about, "Date": None, "Creator": drawn_by})
    figure.set_layout_engine("none")  # the layout just found is kept; finding it again takes as long as drawing
    with matplotlib.rc_context({"savefig.dpi": 150}):
        FigureCanvasAgg(figure).print_figure(png, format="png", metadata={**about, "Software": None})
    return {"svg": svg.getvalue(), "png": png.getvalue()}


def inputs_hash(*drawn_by: str) -> hashlib._Hash:
    """Returns a hash to be fed with all that a figure says, begun with how it is drawn: this file, and others.

    Matplotlib's version is not in it: another one may move a label, but makes no figure out of date.

    Args:
        drawn_by: paths of the modules that draw it.
    """
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in (__file__, *drawn_by)))


def is_current(path: Path, inputs: str) -> bool:
    """Returns whether a file is whole and was drawn from these inputs.

    Args:
        path: a file of one of `KINDS`, or where one would be.
        inputs: the figure's `Identifier`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    return inputs.encode() in content and content.endswith(_LAST_BYTES[path.suffix.removeprefix(".")])
