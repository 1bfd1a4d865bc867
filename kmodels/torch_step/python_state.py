"""What a model keeps outside of its variables: a recording would hold such a value as it was, for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import tree

__all__ = ["python_state"]

_PLAIN = (bool, int, float, str)


def python_state(model: keras.Model) -> dict[str, Any]:
    """Returns the plain numbers and strings that a model's layers, losses and metrics hold as attributes.

    Where two calls around a step differ, the step changed something that only Python knows of.

    Args:
        model: a compiled model.

    Returns:
        Values by a readable name, such as `layer dropout: rate`.
    """
    return {
        f"{type(owner).__name__} {getattr(owner, 'name', '')}.{name}": value
        for owner in _owners(model)
        for name, value in vars(owner).items()
        if isinstance(value, _PLAIN) and not name.startswith("__")
    }


def _owners(model: keras.Model) -> Iterator[Any]:
    yield from model._flatten_layers(include_self=False)
    yield from model.metrics
    yield from (loss for loss in tree.flatten(model.loss) if hasattr(loss, "__dict__"))
