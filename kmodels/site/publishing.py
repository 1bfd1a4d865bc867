"""What is made of the stored runs: the static site, and README's results. Nothing is trained or fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kmodels import site
from kmodels.atomic_file import write_atomically
from kmodels.command_line import say
from kmodels.data.catalog import CATALOG, DIGESTS
from kmodels.data.labels import KEPT, labels_of
from kmodels.results.runs import Run, run_files
from kmodels.spec.declarations import load_scripts

__all__ = ["publish_site", "readme_results", "refresh_readme", "stored_evidence"]

Warn = Callable[[str], None]


def _to_stderr(line: str) -> None:
    say(f"kmodels: {line}")


def publish_site(experiments: Path, results: Path, out: Path, *, warn: Warn = _to_stderr) -> Path:
    """Builds the site and returns its front page.

    Args:
        experiments: folder of scripts; studies are read from the folder `tuning` beside it.
        results: results folder; it need not exist.
        out: where the site goes: a new or empty folder, or an earlier site.
        warn: receives one line for each damaged run file, which is left as it is and not counted.

    Raises:
        ValueError: a script cannot be loaded, `out` holds something else, or a run lacks a score.
        OSError: a file cannot be read or written.
    """
    site.build_site(
        out,
        results=results,
        quick_runs=_stored(results / "quick", warn),
        declared=site.declared_studies(experiments.resolve().parent / "tuning"),
        labels=_labels,
        **_known(experiments, results, warn),
    )
    return out / "index.html"


def readme_results(experiments: Path, results: Path, *, warn: Warn = _to_stderr) -> str:
    """Returns what README says of the results, without the marks around it; arguments as for `publish_site`."""
    return site.readme_block(stored_evidence(experiments, results, warn=warn))


def stored_evidence(experiments: Path, results: Path, *, warn: Warn = _to_stderr) -> tuple[site.Evidence, ...]:
    """Returns what the stored runs say of each script; arguments as for `publish_site`."""
    return site.evidence(**_known(experiments, results, warn))


def refresh_readme(readme: Path, experiments: Path, results: Path, *, warn: Warn = _to_stderr) -> None:
    """Writes the results into README, between its marks.

    Args:
        readme: the file.
        experiments: as for `publish_site`.
        results: as for `publish_site`.
        warn: as for `publish_site`.

    Raises:
        ValueError: the file does not have the marks, or a script cannot be loaded.
        OSError: a file cannot be read or written.
    """
    text = readme.read_text(encoding="utf-8")
    write_atomically(readme, site.with_block(text, readme_results(experiments, results, warn=warn)).encode())


def _known(experiments: Path, results: Path, warn: Warn) -> dict[str, Any]:
    return {"scripts": load_scripts(experiments), "runs": _stored(results, warn), "digests": DIGESTS}


def _stored(folder: Path, warn: Warn) -> list[Run]:
    runs = []
    for _, found in run_files(folder):
        if isinstance(found, Run):
            runs.append(found)
        else:
            warn(f"not counted: {found}")
    return runs


def _labels(name: str) -> site.Labels | None:
    """The right classes of test images where they are at hand."""
    if name not in KEPT and name != "digits":
        return None
    found = labels_of(name)
    return site.Labels(found.digest, found.test, CATALOG[name].class_names)
