"""Runs as values and as files: one JSON file a run, named by the run's key, written atomically.

Nothing here imports Keras.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kmodels.atomic_file import write_atomically
from kmodels.results.fields import check_fields
from kmodels.results.key import hashed, run_key
from kmodels.results.predictions import Predictions, check_classes, of_validation, pack, unpack
from kmodels.results.weights import KeptWeights

__all__ = ["FORMAT", "REVISION", "Predictions", "Run", "load_runs"]
__all__ += ["read_run", "run_files", "run_key", "write_run"]

FORMAT = 1
"""Version of the file format, stored in every file."""

REVISION = 2
"""Raised by hand whenever a change to training can move a number by more than float32 rounding; part of every key. What
rounds elsewhere alone is told apart by a run's `sources`. It stands here, not beside the training, because tables find
runs by their keys without loading Keras."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of one cell: what was asked, what came out, and where it ran.

    Attributes:
        key: see `run_key`.
        experiment: name of the experiment it was trained for first.
        cell: name of the cell within that experiment.
        protocol: `report` or `quick`.
        recipe: the whole resolved recipe, as `Recipe.as_dict` gives it.
        seed: seed of initial weights, data order, augmentation and dropout.
        fold: index of the validation part, 0 for a split that has one.
        data: name, digest, source, number of classes (`num_classes`, not in the oldest files) and sizes
            (`train_images`, `validation_images`, `test_images`) of the data.
        scores: measures by name, of the last epoch or of the one that `Recipe.keep` chose, whose number, counted from
            1, is then among them as `kept_epoch`; accuracies as fractions.
        curves: per-epoch values by name: `loss`, `accuracy`, `val_loss`, `val_accuracy`; `test_accuracy` where that
            chose the epoch.
        observations: what `recipe["observe"]` asked for by name, see `kmodels.spec.observations`; empty where it asked
            for nothing.
        diverged: when and how the loss became infinite or not a number, which ended the training; else empty. Curves
            then end before, and scores hold accuracies alone.
        predictions: what it said of the test images; None where the test set was not opened.
        validation_classes: class predicted for each validation image, uint8, in the data set's order; None where
            validation images are the test images.
        weights: where the weights that were evaluated are kept, or what is known of them; None where nothing is.
        test_openings: one line for each time the test set was opened.
        seconds: wall-clock seconds of `build`, `fit`, `evaluate`; of runs that were trained at once, an equal share.
        images_per_second: training images over the seconds spent on training batches, without validation.
        peak_memory_bytes: peak resident set of the process (CPU) or peak allocation (CUDA) during this run; of runs
            that were trained at once, of all together.
        device: what it ran on, in words.
        threads: CPU threads of the backend, 0 where it does not say.
        backend: `torch`, `jax` or `tensorflow`.
        pipeline: `memory` or `tfdata`.
        execution: how steps were taken on PyTorch: `keras` (its own step), `recorded` or `compiled`, or
            `vectorised` with those of other runs; else `keras`.
        revision: `REVISION` at that time.
        versions: library name -> version.
        commit: git commit of the working tree, with `+changes` where it had any; empty outside a checkout.
        sources: digest of the package's source files.
        finished: end of the run, ISO 8601 in UTC.
    """

    key: str
    experiment: str
    cell: str
    protocol: str
    recipe: Mapping[str, Any]
    seed: int
    fold: int
    data: Mapping[str, Any]
    scores: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    observations: Mapping[str, Any] = field(default_factory=dict)
    diverged: str = ""
    predictions: Predictions | None = None
    validation_classes: np.ndarray | None = None
    weights: KeptWeights | None = None
    test_openings: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    peak_memory_bytes: int = 0
    device: str = ""
    threads: int = 0
    backend: str = ""
    pipeline: str = "memory"
    execution: str = "keras"
    revision: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    sources: str = ""
    finished: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Returns the run as JSON-ready values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("predictions", "weights"):
            values[name] = None if values[name] is None else values[name].as_dict()
        kept = self.validation_classes
        values["validation_classes"] = None if kept is None else pack(kept.astype("<u1"))
        return {"format": FORMAT, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """Returns the run that `as_dict` wrote.

        Raises:
            ValueError: another format, or a missing, unknown or malformed field.
        """
        if values.get("format") != FORMAT:
            raise ValueError(f"format: expected {FORMAT}. Received: format={values.get('format')!r}")
        kept = {name: value for name, value in values.items() if name != "format"}
        check_fields(kept)
        try:
            if kept["predictions"] is not None:
                kept["predictions"] = Predictions.from_dict(kept["predictions"])
            if kept.get("weights") is not None:
                kept["weights"] = KeptWeights.from_dict(kept["weights"])
            if kept["validation_classes"] is not None:
                kept["validation_classes"] = unpack(kept["validation_classes"], "<u1")
            run = cls(**kept)
        except (TypeError, KeyError) as error:
            raise ValueError(f"run: expected the fields of Run. Received: {error}") from error
        classes = None if run.predictions is None else run.predictions.classes
        sizes = {name: run.data.get(name) for name in ("test_images", "validation_images", "num_classes")}
        check_classes(classes, sizes["test_images"], sizes["num_classes"], "predictions")
        check_classes(run.validation_classes, sizes["validation_images"], sizes["num_classes"], "validation_classes")
        for name, further in ({} if run.predictions is None else run.predictions.further).items():
            images = sizes["validation_images" if of_validation(name) else "test_images"]
            check_classes(further, images, sizes["num_classes"], name)
        return run


_RUN_NAME = re.compile(r"[0-9a-f]{20}\.json")
_LARGEST = 2**26  # bytes of a run file: far more than ten thousand predictions and a thousand epochs take


def write_run(run: Run, folder: Path) -> Path:
    """Writes a run to `folder/<experiment>/<key>.json`, its weights beside it, and returns that path.

    Raises:
        OSError: a file cannot be written; nothing is left of that one.
    """
    path = folder / run.experiment / f"{run.key}.json"
    if run.weights is not None and run.weights.content is not None:  # first, so that no run names what is not there
        write_atomically(path.with_name(run.weights.name(run.key)), run.weights.content)
    write_atomically(path, json.dumps(run.as_dict(), indent=1, sort_keys=True).encode() + b"\n")
    return path


def read_run(path: Path) -> Run:
    """Returns the run stored in a file.

    Raises:
        ValueError: the file is not a run, or its name is not the key of what it holds; the message names the file.
        OSError: the file cannot be read.
    """
    if not path.is_file() or path.stat().st_size > _LARGEST:
        raise ValueError(f"{path}: expected a run file of {_LARGEST} bytes or fewer")
    try:
        run = Run.from_dict(json.loads(path.read_text(encoding="utf-8")))
        asked = (run.data["digest"], run.seed, run.fold, run.backend, run.revision, run.pipeline)
        key = hashed(run.recipe, *asked)
    except (ValueError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}: expected a run file. {type(error).__name__}: {error}") from error
    for name, value in (("key", run.key), ("key of its recipe, data, seed and fold", key)):
        if value != path.stem:
            raise ValueError(f"{path}: expected the {name} to be {path.stem}. Received: {value!r}")
    return run


def run_files(folder: Path) -> Iterator[tuple[Path, Run | ValueError]]:
    """Yields each run file under `folder/*/` with its run, or with the error that says why it is none.

    Only names that a run can have are looked at: other files there belong to others.

    Args:
        folder: the results folder; it need not exist.
    """
    for path in sorted(folder.glob("*/*.json")):
        if _RUN_NAME.fullmatch(path.name):
            try:
                found: Run | ValueError = read_run(path)
            except ValueError as error:
                found = error
            yield path, found


def load_runs(folder: Path, warn: Callable[[str], None]) -> dict[str, Run]:
    """Returns all runs under `folder/*/`, by key.

    A damaged file is renamed to `<name>.damaged` and reported, so that it is trained again and can still be looked at.

    Args:
        folder: the results folder; it need not exist.
        warn: receives one line for each damaged file.
    """
    runs: dict[str, Run] = {}
    for path, found in run_files(folder):
        if isinstance(found, Run):
            runs[found.key] = found
        else:
            _set_aside(path, found, warn)
    return runs


def _set_aside(path: Path, error: ValueError, warn: Callable[[str], None]) -> None:
    aside = path.with_suffix(".json.damaged")
    while os.path.lexists(aside):  # what was set aside before is kept too
        aside = aside.with_name(f"{aside.name}+")
    try:
        path.replace(aside)
    except FileNotFoundError:
        return  # another process was faster
    except OSError as reason:
        warn(f"damaged run left in place, {reason.strerror}: {error}")
    else:
        warn(f"damaged run set aside as {aside.name}: {error}")
