"""Every private name of Keras that is used, each looked for when it is needed and missed by its name."""

from __future__ import annotations

import importlib
from typing import Any

import keras

__all__ = ["DataAdapter", "KerasInternalMissing", "current_device"]


class KerasInternalMissing(ImportError):
    """This Keras has not the private name that is needed; the message says which."""


def _private(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise KerasInternalMissing(
            f"keras: expected a release that has {module}.{name}, as 3.15 has. Received: keras={keras.__version__!r}"
        ) from error


DataAdapter: Any = _private("keras.src.trainers.data_adapters.data_adapter", "DataAdapter")
"""What `fit`, `evaluate` and `predict` take as `x` as it is, and then ask for batches."""


def current_device() -> str:
    """The device Keras puts its tensors on now, in PyTorch's words, such as `cpu` or `cuda:0`.

    Raises:
        KerasInternalMissing: this Keras keeps it elsewhere.
    """
    return str(_private("keras.src.backend.torch.core", "get_device")())
