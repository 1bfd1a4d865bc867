"""A named network: a builder and the arguments that make it the one that a report or a paper means."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from kmodels.models.checks import require

__all__ = ["Preset"]


@dataclass(frozen=True)
class Preset:
    """A builder with its arguments.

    Attributes:
        builder: function of `input_shape`, `num_classes` and keyword arguments, `name` among them.
        source: where the network stands: rows of the reports' digest, or a paper.
        model_args: the builder's arguments; those not named keep the builder's defaults.
        input_shape: `(height, width, channels)` of the images it was made for.
        num_classes: classes it was made for.
    """

    builder: Callable[..., keras.Model]
    source: str
    model_args: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, int, int] = (32, 32, 3)
    num_classes: int = 10

    def build(
        self, name: str, input_shape: tuple[int, int, int] | None, num_classes: int | None, **model_args: Any
    ) -> keras.Model:
        """Builds the network; None stands for the preset's own value, `model_args` change its arguments.

        Raises:
            ValueError: an argument is not the builder's, or out of range.

        Example:
            >>> from kmodels.models.lenet import lenet
            >>> Preset(lenet, "A-1.2", {"dropout": 0.2}).build("small", (28, 28, 1), None).name
            'small'
        """
        known = [p for p in inspect.signature(self.builder).parameters if p not in ("input_shape", "num_classes")]
        for argument in model_args:
            require(argument in known, "argument", f"one of {', '.join(known)} for {name}", argument)
        return self.builder(
            self.input_shape if input_shape is None else input_shape,
            self.num_classes if num_classes is None else num_classes,
            **{"name": name, **self.model_args, **model_args},
        )
