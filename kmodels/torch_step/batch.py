"""What a feed hands to a step: batches of tensors, or batches of resident images that the step itself prepares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from keras import tree

from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.keras_internals import unpack_batch
from kmodels.torch_step.resident import ResidentBatch

__all__ = ["Batch", "batch_of", "prepared"]


@dataclass(frozen=True)
class Batch:
    """A batch as its tensors and the way back from them.

    Attributes:
        tensors: everything that changes from batch to batch, and resident arrays.
        key: equal for batches that one graph serves: structure, shapes, types, devices.
        resident: how many tensors at the beginning are arrays that all batches share.
        unpack: from tensors like those to `(x, y, sample_weight)`; run inside the step.
    """

    tensors: list[torch.Tensor]
    key: Any
    resident: int
    unpack: Callable[[Sequence[torch.Tensor]], tuple[Any, Any, Any]]


def batch_of(given: Any) -> Batch:
    """Returns a batch of what a feed yielded: `(x, y)`, `(x, y, sample_weight)` or a `ResidentBatch`.

    Raises:
        CannotRecord: something in it is no dense tensor.
    """
    if isinstance(given, ResidentBatch):
        source, names = given.source, list(given.draws)
        tensors = [source.images, source.labels, *given.draws.values()]
        key = (id(source.transform), tuple(names), tuple(_kind(tensor) for tensor in tensors))

        def prepare(values: Sequence[torch.Tensor]) -> tuple[Any, Any, Any]:
            x, y = type(source)(values[0], values[1], source.transform).prepare(
                dict(zip(names, values[2:], strict=True))
            )
            return x, y, None

        return Batch(tensors, key, 2, prepare)
    structure = unpack_batch(given)
    try:
        tensors = [_tensor(value) for value in tree.flatten(structure) if value is not None]
        kinds = tuple(_kind(tensor) for tensor in tensors)
    except Exception as error:  # text, ragged or sparse values: Keras' own step knows what to do
        raise CannotRecord(f"a batch is not made of dense tensors ({type(error).__name__})") from error
    present = [value is not None for value in tree.flatten(structure)]

    def rebuild(values: Sequence[torch.Tensor]) -> tuple[Any, Any, Any]:
        left = iter(values)
        flat = [next(left) if there else None for there in present]
        x, y, sample_weight = tree.pack_sequence_as(structure, flat)
        return x, y, sample_weight

    shape = repr(tree.map_structure(lambda value: value is not None, structure))
    return Batch(tensors, (shape, kinds), 0, rebuild)


def _kind(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device, tensor.stride()


def _tensor(value: Any) -> torch.Tensor:
    tensor = keras.ops.convert_to_tensor(value)
    return tensor.detach()


def prepared(given: Any) -> Any:
    """Returns what Keras' own step takes: a resident batch is prepared, all else is left as it is."""
    return given.source.prepare(given.draws) if isinstance(given, ResidentBatch) else given
