"""What keeps a step from being recorded or compiled, in words for the user."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import keras
import torch

__all__ = [
    "CONSTANT",
    "GENERATOR",
    "READS",
    "SEEDS",
    "CannotRecord",
    "cause_of",
    "place_here",
    "place_of",
    "whole_tracebacks",
]

READS = "it reads a tensor's value on the host"
CONSTANT = "it computes with a PyTorch tensor that is no variable of the model"
# which may be made anew in every step, with the same seed, and would not be in a graph
GENERATOR = "it draws from a PyTorch generator of its own"
SEEDS = "it sets the state of PyTorch's generator of random numbers"


class CannotRecord(RuntimeError):
    """A step that cannot be one graph; the message says why in words for the user."""


def cause_of(error: BaseException, place: str = "") -> str:
    """Returns in one line what kept a step from being recorded or compiled, and where where that is known."""
    kind = type(error).__name__
    if kind in ("DataDependentOutputException", "GuardOnDataDependentSymNode", "UnsupportedOperatorException"):
        return f"{READS}{place or f' ({kind}: {_first_line(error)})'}"
    if "convert all Tensors to FakeTensors" in str(error):
        return f"{CONSTANT}{place}"
    return f"{kind}: {_first_line(error) or 'no message'}{place}"


def place_of(error: BaseException) -> str:
    """Where what failed was done: the innermost code that is not PyTorch's, Python's, ours nor Keras' backend."""
    return _place(reversed(list(traceback.walk_tb(error.__traceback__))))


def place_here() -> str:
    """Where something is being done, by the same rule."""
    return _place(traceback.walk_stack(None))


def _place(frames: Iterable[tuple[FrameType, int]]) -> str:
    source = Path(keras.__file__).parent / "src"
    inside = (source / name for name in ("backend", "ops", "utils", "random"))
    below = (Path(torch.__file__).parent, Path(__file__).parent, *inside)
    library = Path(traceback.__file__).parent  # Python's own; packages may lie in folders of it
    for frame, line in frames:
        code = frame.f_code
        path = Path(code.co_filename)
        if path == source / "layers" / "layer.py" and "self" in frame.f_locals:  # what is not beneath is the layer
            layer = frame.f_locals["self"]
            return f", in layer {layer.name} ({type(layer).__name__})"
        beneath = path.parent == library or any(path.is_relative_to(folder) for folder in below)
        if not beneath and path.is_file():  # else it was made from text
            return f", in {code.co_qualname} ({path.name}:{line})"
    return ""


@contextmanager
def whole_tracebacks() -> Iterator[None]:
    """Keeps Keras from leaving out the layer that a cause is about while the block runs."""
    shortened = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if shortened:
            keras.config.enable_traceback_filtering()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    return lines[0][:200] if lines else ""
