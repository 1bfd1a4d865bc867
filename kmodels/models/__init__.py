"""Networks by name: `build("lenet", (32, 32, 1), 10, dropout=0.2)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras

from kmodels.models.lenet import lenet

__all__ = ["MODELS", "build", "lenet"]

MODELS: dict[str, Callable[..., keras.Model]] = {
    "lenet": lenet,
}
"""Every builder by the name that a recipe gives it."""


def build(name: str, input_shape: tuple[int, int, int], num_classes: int, **model_args: Any) -> keras.Model:
    """Builds a network by its name in `MODELS`.

    Args:
        name: a key of `MODELS`.
        input_shape: `(height, width, channels)`.
        num_classes: number of classes, 2 or more.
        **model_args: the builder's own arguments.

    Raises:
        ValueError: the name or an argument is unknown, or an argument is out of range.

    Example:
        >>> build("lenet", (32, 32, 1), 10, dropout=0.2).output_shape
        (None, 10)
    """
    if name not in MODELS:
        raise ValueError(f"name: expected one of {', '.join(sorted(MODELS))}. Received: name={name!r}")
    known = [p for p in inspect.signature(MODELS[name]).parameters if p not in ("input_shape", "num_classes")]
    for argument in model_args:
        if argument not in known:
            raise ValueError(f"{argument}: expected an argument of {name} ({', '.join(known)}). Received: {argument!r}")
    return MODELS[name](input_shape, num_classes, **model_args)
