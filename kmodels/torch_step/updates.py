"""What the update rules of all optimizers share: which numbers and variables they hold, clipping and weight decay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import torch
from torch import Tensor

from kmodels.checks import require

__all__ = ["Tensors", "UpdateRule", "subtract_scaled"]

Tensors = list[Tensor]


class UpdateRule(ABC):
    """One step of an optimizer: clipping, weight decay and the update itself.

    Attributes:
        optimizer: whose rule it is; built.
        numbers: names of the optimizer's settings that become constants of a recording.
    """

    numbers: ClassVar[tuple[str, ...]] = ()
    _COMMON = ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue")

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self.optimizer = optimizer
        self._count = len(optimizer._trainable_variables)

    def slots(self) -> list[keras.Variable]:
        """Returns every variable that the rule reads or writes besides values, iterations and learning rate."""
        return [variable for name in self._lists() for variable in getattr(self.optimizer, name)] + [
            getattr(self.optimizer, name) for name in self._scalars()
        ]

    def slots_by_weight(self) -> list[tuple[keras.Variable, keras.Variable]]:
        """Returns the slots that belong to one variable each, after that variable."""
        weights = self.optimizer._trainable_variables
        return [pair for name in self._lists() for pair in zip(weights, getattr(self.optimizer, name), strict=True)]

    def constants(self) -> dict[str, Any]:
        """Returns the optimizer's settings that a recording holds as constants, by name."""
        return {name: getattr(self.optimizer, name) for name in self._COMMON + self.numbers}

    def settings(self) -> tuple[Any, ...]:
        """Returns all that a recording depends on; once it differs, the recording must be made anew."""
        return (*self.constants().values(), *self._decayed())

    def apply(
        self,
        values: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        slots: Sequence[Tensor],
        step: Tensor,
        learning_rate: Tensor,
    ) -> None:
        """Updates values and slots in place; gradients stay as they are.

        Args:
            values: the trainable variables, in the order in which the optimizer was built on them.
            gradients: of the loss, one a variable; None where the loss does not depend on it, which leaves the
                variable and its slots alone.
            slots: what `slots` holds.
            step: steps taken before this one, an integer of shape `()`.
            learning_rate: of this step, float32 of shape `()`.

        Raises:
            ValueError: the lists do not belong together, or no variable has a gradient.
        """
        expected = len(self.slots())
        for name, given, wanted in (
            ("values", values, self._count),
            ("gradients", gradients, self._count),
            ("slots", slots, expected),
        ):
            require(len(given) == wanted, name, f"{wanted} tensors", len(given))
        present = [gradient for gradient in gradients if gradient is not None]
        require(bool(present), "gradients", "a gradient for at least one variable", "none")
        used = [index for index, gradient in enumerate(gradients) if gradient is not None]
        with torch.no_grad():
            present = self.clip(present)
            chosen = [values[index] for index in used]
            every, decay = self._decayed(), self.optimizer.weight_decay
            shrunk = [values[index] for index in used if every[index]]
            if decay is not None and shrunk:
                torch._foreach_mul_(shrunk, 1 - decay * learning_rate)
            self.update(used, chosen, present, slots, step, learning_rate)

    def clip(self, gradients: Tensors) -> Tensors:
        """Returns the gradients clipped as the optimizer asks: Keras' own clipping, operation by operation."""
        norm, common, largest = self.optimizer.clipnorm, self.optimizer.global_clipnorm, self.optimizer.clipvalue
        if norm and norm > 0:
            return [_within_norm(gradient, norm) for gradient in gradients]
        if common and common > 0:
            length = torch.sqrt(torch.sum(torch.stack([torch.sum(torch.square(g)) for g in gradients])))
            factor = common * torch.clamp(1.0 / length, max=1.0 / common) + (length - length)
            return list(torch._foreach_mul(gradients, factor))
        if largest and largest > 0:
            return [torch.clamp(gradient, -largest, largest) for gradient in gradients]
        return gradients

    def update(
        self,
        used: Sequence[int],
        values: Tensors,
        gradients: Tensors,
        slots: Sequence[Tensor],
        step: Tensor,
        learning_rate: Tensor,
    ) -> None:
        """Updates some variables and their slots in place, after clipping and decoupled weight decay.

        Args:
            used: which variables, by their index.
            values: those variables.
            gradients: theirs.
            slots: what `slots` holds, of all variables.
            step: steps taken before this one, an integer of shape `()`.
            learning_rate: of this step, float32 of shape `()`.
        """
        end = len(slots) - len(self._scalars())
        lists = [[slots[first + index] for index in used] for first in range(0, end, self._count)]
        every = self._decayed()
        with torch.no_grad():
            gradients = self._penalised(values, gradients, [every[index] for index in used])
            self._update(values, gradients, lists, list(slots[end:]), step, learning_rate)

    def _lists(self) -> tuple[str, ...]:
        """Names of the optimizer's lists with one slot a variable."""
        return ()

    def _scalars(self) -> tuple[str, ...]:
        """Names of the optimizer's own variables of shape `()`."""
        return ()

    def _decayed(self) -> list[bool]:
        return [self.optimizer._use_weight_decay(variable) for variable in self.optimizer._trainable_variables]

    def _penalised(self, values: Tensors, gradients: Tensors, decayed: list[bool]) -> Tensors:
        """The gradients with those of a penalty on the values added; Keras' own optimizers have none."""
        return gradients

    @abstractmethod
    def _update(
        self, values: Tensors, gradients: Tensors, slots: list[Tensors], scalars: Tensors, step: Tensor, rate: Tensor
    ) -> None:
        """Updates values, slots and scalars in place, where every value has a gradient."""


def subtract_scaled(values: Tensors, directions: Tensors, rate: Tensor) -> None:
    """Subtracts directions times a rate of shape `()` from values, in place."""
    if values[0].device.type == "cpu":  # in one pass over memory
        torch._foreach_addcmul_(values, directions, [rate] * len(values), value=-1.0)
    else:  # a GPU takes a list at once only where all shapes agree
        torch._foreach_sub_(values, torch._foreach_mul(directions, rate))


def _within_norm(gradient: Tensor, norm: float) -> Tensor:
    square = torch.sum(torch.square(gradient))
    length = torch.where(square > 0, torch.sqrt(torch.where(square > 0, square, torch.ones_like(square))), square)
    return gradient * norm / torch.clamp(length, min=norm)
