"""The private modules of Keras that are used, each looked for when it is needed and missed by its name.

Private attributes of models, layers and optimizers are read where they are needed; what a release lacks of them is a
reason to leave the step to Keras (`private_names`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import torch

from kmodels.torch_step.causes import CannotRecord

__all__ = [
    "DataAdapter",
    "KerasInternalMissing",
    "build_variables",
    "current_device",
    "global_seed_kept",
    "private_names",
    "stock_function",
    "unpack_batch",
]

_UNKNOWN = "this release of Keras is not known"


class KerasInternalMissing(ImportError):
    """This Keras has not the private name that is needed; the message says which."""


def _private(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        expected = f"expected one that has {module}.{name}, as 3.15 has"
        raise KerasInternalMissing(f"{_UNKNOWN}: {expected}. Received: keras={keras.__version__!r}") from error


@contextmanager
def private_names() -> Iterator[None]:
    """Turns a private name that this Keras has not into a reason not to record."""
    try:
        yield
    except KerasInternalMissing as error:
        raise CannotRecord(str(error)) from error
    except AttributeError as error:
        raise CannotRecord(f"{_UNKNOWN}: {error}") from error


DataAdapter: Any = _private("keras.src.trainers.data_adapters.data_adapter", "DataAdapter")
"""What `fit`, `evaluate` and `predict` take as `x` as it is, and then ask for batches."""


def current_device() -> str:
    """The device Keras puts its tensors on now, in PyTorch's words, such as `cpu` or `cuda:0`.

    Raises:
        KerasInternalMissing: this Keras keeps it elsewhere.
    """
    return str(_private("keras.src.backend.torch.core", "get_device")())


@contextmanager
def global_seed_kept() -> Iterator[None]:
    """Leaves the generator that seeds what has no seed as it is, whatever draws from it in the block.

    Raises:
        KerasInternalMissing: this Keras keeps it elsewhere.
    """
    state = "keras.src.backend.common.global_state"
    name = _private("keras.src.random.seed_generator", "GLOBAL_SEED_GENERATOR")
    held = _private(state, "get_global_attribute")(name)
    value = None if held is None else held.state.value.detach().clone()
    try:
        yield
    finally:
        _private(state, "set_global_attribute")(name, held)
        if held is not None:
            held.state.assign(value)


def unpack_batch(data: Any) -> tuple[Any, Any, Any]:
    """Returns `(x, y, sample_weight)` of what a feed yields, with None for what is not there.

    Raises:
        CannotRecord: this Keras unpacks batches elsewhere.
    """
    with private_names():  # also asked for outside what is being recorded
        unpack = _private("keras.src.trainers.data_adapters.data_adapter_utils", "unpack_x_y_sample_weight")
    x, y, sample_weight = unpack(data)
    return x, y, sample_weight


def stock_function(model: keras.Model, kind: str) -> Callable[[Any], Any]:
    """Returns Keras' own step over one batch.

    Args:
        model: a compiled model.
        kind: `train`, `test` or `predict`.
    """
    step = getattr(model, f"{kind}_step")
    if model.jit_compile is True:
        step = torch.compile(step)  # what Keras' trainer does
    if kind == "train":
        return step  # type: ignore[no-any-return]

    def without_gradients(data: Any) -> Any:
        with torch.no_grad():
            return step(data)

    return without_gradients


def build_variables(model: keras.Model, iterator: Any = None, data_batch: Any = None) -> None:
    """Makes the variables of a compiled model's metrics and optimizer; nothing is computed.

    Args:
        model: built and compiled.
        iterator: what `fit` iterates over.
        data_batch: images and labels like those that will come, in place of an iterator.
    """
    taken_at_once = getattr(iterator, "steps_per_execution", 1)
    if iterator is not None:
        iterator.steps_per_execution = 1  # Keras looks at the first, and can give back to a generator no more than two
    try:
        keras.Model._symbolic_build(model, iterator=iterator, data_batch=data_batch)
    finally:
        if iterator is not None:
            iterator.steps_per_execution = taken_at_once
