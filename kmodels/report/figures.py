"""How figures look and how they become files: the same figure always gives the same bytes.

Matplotlib's object interface only: no global figure state, and Matplotlib is imported when the first figure is drawn.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmodels.plural import counted

if TYPE_CHECKING:
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
