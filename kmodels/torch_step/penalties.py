"""Keras' L1 regularizer, which alone keeps its factor as a tensor that is no variable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import torch

__all__ = ["plain_factors"]


@contextmanager
def plain_factors(model: keras.Model) -> Iterator[None]:
    """Lets the L1 regularizers of a model have their factor as a number while the block runs; the result is the same.

    Args:
        model: a built model.
    """
    layers = [model, *model._flatten_layers(include_self=False)]
    found: list[Any] = [getattr(variable, "regularizer", None) for variable in model.trainable_variables]
    found += [layer.activity_regularizer for layer in layers]
    known = {id(one): one for one in found if type(one) is keras.regularizers.L1 and isinstance(one.l1, torch.Tensor)}
    kept = {key: one.l1 for key, one in known.items()}
    try:
        for one in known.values():
            one.l1 = float(one.l1)
        yield
    finally:
        for key, one in known.items():
            one.l1 = kept[key]
