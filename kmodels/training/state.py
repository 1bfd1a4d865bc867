"""All that a training needs to go on as if it had never stopped, in one file without pickle.

Keras' own weight files leave out the states of dropout, and loading one into a fresh model loses the optimizer's count
of steps, on which a learning-rate schedule depends.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmodels.atomic_file import write_atomically

__all__ = ["NO_STATE", "TrainingState", "capture", "read_state", "restore", "write_state"]

NO_STATE = "; no state was kept yet"
"""What is said of a training that diverged before there was one to go on from."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything of a training between two epochs.

    Attributes:
        epochs: epochs done.
        model: values of the model's variables in Keras' order: weights, running statistics, seeds of dropout.
        optimizer: values of the optimizer's variables: step count, learning rate, momenta, loss scale.
        best: what the model held at the epoch that was chosen so far; empty where none is chosen.
        facts: what else has to be remembered, JSON-ready.
    """

    epochs: int
    model: tuple[np.ndarray, ...]
    optimizer: tuple[np.ndarray, ...]
    best: tuple[np.ndarray, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def capture(variables: list[Any]) -> tuple[np.ndarray, ...]:
    """Returns copies of Keras variables' values, in types that every NumPy can write."""
    values = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]
    # bfloat16 is no type of NumPy's own; float32 holds each of its values exactly
    return tuple(value if value.dtype.kind in "biuf" else value.astype("float32") for value in values)


def restore(variables: list[Any], values: tuple[np.ndarray, ...], name: str) -> None:
    """Sets Keras variables to captured values.

    Raises:
        ValueError: number or shapes differ: the values are another network's, or another optimizer's.
    """
    expected, received = [tuple(v.shape) for v in variables], [value.shape for value in values]
    if expected != received:
        raise ValueError(f"{name}: expected variables of shapes {expected}. Received: {received}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def write_state(path: Path, state: TrainingState) -> None:
    """Writes a state atomically.

    Raises:
        OSError: it cannot be written.
    """
    parts = {"model": state.model, "optimizer": state.optimizer, "best": state.best}
    arrays = {f"{part}_{i:05d}": value for part, values in parts.items() for i, value in enumerate(values)}
    meta = {"epochs": state.epochs, "facts": state.facts, "counts": {part: len(v) for part, v in parts.items()}}
    stream = io.BytesIO()
    np.savez(stream, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    write_atomically(path, stream.getvalue())


def read_state(path: Path) -> TrainingState:
    """Returns the state that `write_state` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            meta = json.loads(file["meta"].tobytes())
            parts = {
                part: tuple(file[f"{part}_{i:05d}"] for i in range(count)) for part, count in meta["counts"].items()
            }
        return TrainingState(epochs=meta["epochs"], facts=meta["facts"], **parts)
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"path: expected the file of a training's state. Received: path={str(path)!r}") from error
