"""What PyTorch's optimizers have in common: L2 in the gradient, decoupled decay, clipping, running moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmodels.checks import require

if keras.backend.backend() == "torch":
    from kmodels.torch_step.pytorch_rules import RULES
else:
    RULES = {}

__all__ = ["MomentOptimizer", "PyTorchOptimizer"]


class PyTorchOptimizer(keras.optimizers.Optimizer):
    """What all four have: L2 added to the clipped gradient, decoupled decay before the step, PyTorch's clipping."""

    def __init__(
        self, learning_rate: Any, l2: float, weight_decay: float | None, global_clipnorm: float | None, **options: Any
    ) -> None:
        require(0.0 <= l2 < math.inf, "l2", "a finite number, 0 or more", l2)
        decay_fits = weight_decay is None or 0.0 <= weight_decay < math.inf
        require(decay_fits, "weight_decay", "None or a finite number, 0 or more", weight_decay)
        norm_fits = global_clipnorm is None or 0.0 < global_clipnorm < math.inf
        require(norm_fits, "global_clipnorm", "None or a finite number above 0", global_clipnorm)
        super().__init__(
            learning_rate=learning_rate, weight_decay=weight_decay, global_clipnorm=global_clipnorm, **options
        )
        self.l2 = l2

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the optimizer's variables.

        Args:
            variables: the trainable variables.
        """
        if self.built:
            return
        super().build(variables)
        self._add_slots(variables)

    def _add_slots(self, variables: Sequence[Any]) -> None:
        """Makes what the update keeps from step to step; nothing here."""

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this optimizer again."""
        return {**super().get_config(), "l2": self.l2}

    def slot(self, slots: Sequence[Any], variable: Any) -> Any:
        """Returns the variable's own among the slots of all variables."""
        return slots[self._get_variable_index(variable)]

    def penalised(self, gradient: Any, variable: Any) -> Any:
        """Returns the gradient of the loss plus l2/2 times the sum of squares, in the variable's dtype."""
        gradient = ops.cast(gradient, variable.dtype)
        if self.l2 == 0.0 or not self._use_weight_decay(variable):
            return gradient
        return ops.add(gradient, ops.multiply(variable, self.l2))

    def before_updates(self) -> None:
        """Moves on what all variables of a step share; nothing here."""

    def _backend_update_step(self, grads: Sequence[Any], trainable_variables: Any, learning_rate: Any) -> None:
        rule = _rule(self)
        if rule is None:
            self.before_updates()
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        used = [self._get_variable_index(variable) for variable in trainable_variables]
        values, slots = ([variable.value for variable in held] for held in (trainable_variables, rule.slots()))
        step, rate = ops.convert_to_tensor(self.iterations), ops.convert_to_tensor(learning_rate)
        rule.update(used, values, list(grads), slots, step, rate)

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        rule = _rule(self)
        if rule is not None:
            return list(rule.clip(list(grads)))
        if self.global_clipnorm is None:
            return list(super()._clip_gradients(grads))
        squares = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in grads]
        factor = ops.minimum(self.global_clipnorm / (ops.sqrt(ops.sum(ops.stack(squares))) + 1e-6), 1.0)
        return [ops.multiply(gradient, ops.cast(factor, gradient.dtype)) for gradient in grads]


class MomentOptimizer(PyTorchOptimizer):
    """Running means of gradients and of their squares, started at zero."""

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        l2: float,
        weight_decay: float | None,
        global_clipnorm: float | None,
        **options: Any,
    ) -> None:
        for name, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            require(0.0 <= value < 1.0, name, "a number in [0, 1)", value)
        require(0.0 <= epsilon < math.inf, "epsilon", "a finite number, 0 or more", epsilon)
        super().__init__(learning_rate, l2, weight_decay, global_clipnorm, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def _add_slots(self, variables: Sequence[Any]) -> None:
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this optimizer again."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}

    def moments(self, gradient: Any, variable: Any) -> tuple[Any, Any]:
        """Moves both running means on; returns that of gradients and that of their squares."""
        mean, square = self.slot(self._momentums, variable), self.slot(self._velocities, variable)
        self.assign_add(mean, ops.multiply(ops.subtract(gradient, mean), 1 - self.beta_1))
        self.assign(
            square,
            ops.add(ops.multiply(square, self.beta_2), ops.multiply(ops.square(gradient), 1 - self.beta_2)),
        )
        return mean, square

    def step(self) -> Any:
        """Returns the number of the step that is being taken, from 1, as float32."""
        return ops.cast(self.iterations + 1, "float32")

    def bias_correction(self, beta: float) -> Any:
        """Returns 1 - beta^step, written so because float32 would lose four digits of it in early steps."""
        return -ops.expm1(self.step() * math.log(beta)) if beta > 0.0 else 1.0


def _rule(optimizer: PyTorchOptimizer) -> Any:
    """PyTorch's update of all variables at once, several times as fast as one by one; None for a subclass."""
    rule = RULES.get(type(optimizer))
    return None if rule is None else rule(optimizer)
