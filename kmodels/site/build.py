"""The site as files: what has changed is written, what is no longer made goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from kmodels.atomic_file import write_atomically
from kmodels.results.runs import Run
from kmodels.site.classes import Labels
from kmodels.site.evidence import Evidence, Part, evidence
from kmodels.site.figures import figures
from kmodels.site.networks import networks
from kmodels.site.pages import Known, pages
from kmodels.site.studies import DeclaredStudy, found_studies
from kmodels.spec.declarations import Script

__all__ = ["build_site"]

_MARK = b'<meta name="generator" content="kmodels">'
_OURS = ("*.html", "experiments/*.html", "models/*.html", "figures/*.svg", "tuning/*.csv")


def build_site(
    folder: Path,
    *,
    scripts: Sequence[Script],
    results: Path,
    runs: Sequence[Run],
    quick_runs: Sequence[Run] = (),
    declared: Sequence[DeclaredStudy] = (),
    labels: Callable[[str], Labels | None] = lambda name: None,
    digests: Mapping[str, str] | None = None,
) -> tuple[Evidence, ...]:
    """Builds the site and returns what it says of each script.

    The same scripts and results always give the same bytes. Pages of an earlier build that are made no more go.

    Args:
        folder: where the site goes: a new or empty folder, or an earlier site.
        scripts: the experiments.
        results: results folder, for the figures and searches in it and for links to its files.
        runs: its runs of the report protocol.
        quick_runs: its runs of the quick protocol.
        declared: studies that scripts declare.
        labels: name of a data set -> its test labels, or None where they cannot be had.
        digests: name of a data set -> the digest that its content must have.

    Raises:
        ValueError: the folder holds something else, or a run lacks a score that a row needs.
        OSError: a file cannot be read or written.
    """
    _check_free(folder)
    found = evidence(scripts, runs, quick_runs, digests)
    known = Known(
        scripts=found,
        networks=networks(),
        declared=declared,
        studies=found_studies(results),
        labels=labels,
        figures=lambda part: tuple(figures(part, results, folder / "figures", _class_names(part, labels))),
        results=_link(results, folder),
    )
    written = set()
    for path, content in pages(known):
        target = folder / path
        written.add(target)
        if not target.is_file() or target.read_bytes() != content:
            write_atomically(target, content)
    for old in {path for pattern in _OURS for path in folder.glob(pattern)} - written:
        old.unlink()
    return found


def _class_names(part: Part, labels: Callable[[str], Labels | None]) -> tuple[str, ...]:
    known = labels(part.experiment.base.dataset)
    return () if known is None else known.names


def _check_free(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if not index.is_file() or _MARK not in index.read_bytes():
        raise ValueError(f"folder: expected a new folder or an earlier site. Received: {str(folder)!r}")


def _link(results: Path, folder: Path) -> str | None:
    """A relative link to the results folder, where it lies near the site: others would be of one machine only."""
    near = folder.resolve().parent
    if not results.resolve().is_relative_to(near):
        return None
    return quote(Path(os.path.relpath(results.resolve(), folder.resolve())).as_posix())
