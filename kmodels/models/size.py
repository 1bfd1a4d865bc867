"""What a network weighs and costs, without its weights being made."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import keras

from kmodels.models.macs import count_macs
from kmodels.models.registry import build

__all__ = ["Size", "size_of", "without_weights"]

Found = TypeVar("Found")


@dataclass(frozen=True)
class Size:
    """Counts of one network.

    Attributes:
        trainable: parameters that training moves, what papers and reports call the number of parameters.
        statistics: running means and variances of batch normalisations.
        macs: multiply-accumulate operations an image, see `kmodels.models.count_macs`.
        input_shape: `(height, width, channels)` that they were counted at.
    """

    trainable: int
    statistics: int
    macs: int
    input_shape: tuple[int, int, int]


def size_of(
    name: str, input_shape: tuple[int, int, int] | None = None, num_classes: int | None = None, **model_args: Any
) -> Size:
    """Counts a network's parameters and operations from its shapes alone; arguments as those of `build`.

    Args:
        name: a key of `kmodels.models.MODELS`.
        input_shape: `(height, width, channels)`; None for the preset's.
        num_classes: number of classes, 2 or more; None for the preset's.
        **model_args: arguments of the preset's builder, in place of the preset's own.

    Raises:
        ValueError: the name or an argument is unknown, or an argument is out of range.

    Example:
        >>> size_of("resnet20")
        Size(trainable=269722, statistics=1376, macs=40551040, input_shape=(32, 32, 3))
    """
    return without_weights(_size, name, input_shape, num_classes, **model_args)


def without_weights(
    look: Callable[[keras.Model], Found],
    name: str,
    input_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    **model_args: Any,
) -> Found:
    """Returns what a function says of a network whose weights have shapes and no values; see `size_of`.

    Args:
        look: what to ask of the model; it must not ask for a weight's value.
        name: a key of `kmodels.models.MODELS`.
        input_shape: `(height, width, channels)`; None for the preset's.
        num_classes: number of classes, 2 or more; None for the preset's.
        **model_args: arguments of the preset's builder, in place of the preset's own.
    """

    def ask() -> Found:
        with keras.StatelessScope(initialize_variables=False):
            return look(build(name, input_shape, num_classes, **model_args))

    # Keras keeps a list, one a thread, of weights that still wait for values: it goes with the thread.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()


def _size(model: keras.Model) -> Size:
    trainable, statistics = (
        sum(math.prod(weight.shape) for weight in weights)
        for weights in (model.trainable_weights, model.non_trainable_weights)
    )
    return Size(trainable, statistics, count_macs(model), tuple(model.input_shape[1:]))
