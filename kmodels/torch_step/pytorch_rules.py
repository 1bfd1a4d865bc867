"""The optimizers of `kmodels.optimizers` on whole lists of tensors: fused on a CPU, else foreach.

They are what those optimizers run on this backend, recorded or not, so a recorded step gives the bits of the stock one.
Their `update_step`, one variable at a time, rounds elsewhere: it agrees within float32 rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kmodels.torch_step.fused_updates import define_fused
from kmodels.torch_step.updates import Tensors, UpdateRule, subtract_scaled

__all__ = ["RULES", "TorchAdamRule", "TorchNAdamRule", "TorchSGDRule"]

RULES: dict[type, type[UpdateRule]] = {}
"""Optimizer class -> its rule; entered where the classes are defined, which lies above this package."""


class _WithL2(UpdateRule):
    """L2 in the gradient, and PyTorch's clipping by the norm of all gradients."""

    def clip(self, gradients: Tensors) -> Tensors:
        """Returns the gradients clipped by their common norm as PyTorch does, else as Keras does."""
        largest = self.optimizer.global_clipnorm
        if largest is None:
            return super().clip(gradients)
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients, 2, torch.float32)))
        return list(torch._foreach_mul(gradients, torch.clamp(largest / (norm + 1e-6), max=1.0)))

    def _penalised(self, values: Tensors, gradients: Tensors, decayed: list[bool]) -> Tensors:
        l2 = self.optimizer.l2
        if l2 == 0.0 or not any(decayed):
            return gradients
        if all(decayed):
            return list(torch._foreach_add(gradients, values, alpha=l2))
        pairs = zip(gradients, values, decayed, strict=True)
        return [torch.add(gradient, value, alpha=l2) if chosen else gradient for gradient, value, chosen in pairs]


class TorchSGDRule(_WithL2):
    """`kmodels.optimizers.SGD`."""

    numbers = ("l2", "momentum", "nesterov")

    def _lists(self) -> tuple[str, ...]:
        return ("_buffers",) if self.optimizer.momentum else ()

    def _update(
        self, values: Tensors, gradients: Tensors, slots: list[Tensors], scalars: Tensors, step: Tensor, rate: Tensor
    ) -> None:
        if not slots:
            subtract_scaled(values, gradients, rate)
            return
        update = _sgd if values[0].device.type == "cpu" else _sgd_foreach
        update(values, gradients, slots[0], rate, self.optimizer.momentum, self.optimizer.nesterov)


class _WithMoments(_WithL2):
    """The slots that Adam and NAdam share."""

    def _lists(self) -> tuple[str, ...]:
        return ("_momentums", "_velocities")


class TorchAdamRule(_WithMoments):
    """`kmodels.optimizers.Adam` and `AdamW`."""

    numbers = ("l2", "beta_1", "beta_2", "epsilon")

    def _update(
        self, values: Tensors, gradients: Tensors, slots: list[Tensors], scalars: Tensors, step: Tensor, rate: Tensor
    ) -> None:
        update = _adam if values[0].device.type == "cpu" else _adam_foreach
        settings = self.optimizer.beta_1, self.optimizer.beta_2, self.optimizer.epsilon
        means, squares = slots
        update(values, gradients, means, squares, step, rate, *settings)


class TorchNAdamRule(_WithMoments):
    """`kmodels.optimizers.NAdam`."""

    numbers = ("l2", "beta_1", "beta_2", "epsilon", "momentum_decay")

    def _scalars(self) -> tuple[str, ...]:
        return ("_momentum_product",)

    def _update(
        self, values: Tensors, gradients: Tensors, slots: list[Tensors], scalars: Tensors, step: Tensor, rate: Tensor
    ) -> None:
        means, squares = slots
        _move_moments(means, squares, gradients, self.optimizer.beta_1, self.optimizer.beta_2)
        momentum, following = self._momentum(step + 1), self._momentum(step + 2)
        (product,) = scalars
        product.mul_(momentum)
        now, ahead = (1.0 - momentum) / (1.0 - product), following / (1.0 - product * following)
        # now · gradient + ahead · mean, divided by now
        numerators = torch._foreach_mul(means, ahead / now)
        torch._foreach_add_(numerators, gradients)
        denominators = _denominators(squares, step, rate * now, self.optimizer.beta_2, self.optimizer.epsilon)
        torch._foreach_addcdiv_(values, numerators, denominators, value=-1.0)

    def _momentum(self, step: Tensor) -> Tensor:
        exponent = step.to(torch.float32) * (self.optimizer.momentum_decay * math.log(0.96))
        return self.optimizer.beta_1 * (1.0 - 0.5 * torch.exp(exponent))


def _bias_correction(beta: float, step: Tensor) -> Tensor:
    """1 - beta^(step + 1) to the last digits of float32; -expm1(-inf) is 1 where beta is 0."""
    return -torch.expm1((step + 1).to(torch.float32) * (math.log(beta) if beta > 0.0 else -math.inf))


def _move_moments(means: Tensors, squares: Tensors, gradients: Tensors, beta_1: float, beta_2: float) -> None:
    torch._foreach_lerp_(means, gradients, 1 - beta_1)
    torch._foreach_mul_(squares, beta_2)
    torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta_2)


def _denominators(squares: Tensors, step: Tensor, size: Tensor, beta_2: float, epsilon: float) -> Tensors:
    """(√(square / correction) + epsilon) / size: the size divides here, which saves a pass over the values."""
    root = torch.sqrt(_bias_correction(beta_2, step))
    denominators = list(torch._foreach_sqrt(squares))
    # by its full name: `torch._foreach_add_` would read the tensor on the host
    torch.ops.aten._foreach_add_.Tensor(denominators, epsilon * root)
    torch._foreach_mul_(denominators, 1.0 / (size * root))
    return denominators


def _adam_foreach(
    values: Tensors, gradients: Tensors, means: Tensors, squares: Tensors, step: Tensor, rate: Tensor, *settings: float
) -> None:
    beta_1, beta_2, epsilon = settings
    _move_moments(means, squares, gradients, beta_1, beta_2)
    denominators = _denominators(squares, step, rate / _bias_correction(beta_1, step), beta_2, epsilon)
    torch._foreach_addcdiv_(values, means, denominators, value=-1.0)


def _adam_fused(
    values: Tensors, gradients: Tensors, means: Tensors, squares: Tensors, step: Tensor, rate: Tensor, *settings: float
) -> None:
    beta_1, beta_2, epsilon = settings
    steps = [(step + 1).to(torch.float32)] * len(values)
    options = {"weight_decay": 0.0, "eps": epsilon, "amsgrad": False, "maximize": False}
    torch._fused_adam_(values, gradients, means, squares, [], steps, lr=rate, beta1=beta_1, beta2=beta_2, **options)


def _sgd_foreach(
    values: Tensors, gradients: Tensors, buffers: Tensors, rate: Tensor, momentum: float, nesterov: bool
) -> None:
    torch._foreach_mul_(buffers, momentum)
    torch._foreach_add_(buffers, gradients)
    directions = torch._foreach_add(gradients, buffers, alpha=momentum) if nesterov else buffers
    subtract_scaled(values, list(directions), rate)


def _sgd_fused(
    values: Tensors, gradients: Tensors, buffers: Tensors, rate: Tensor, momentum: float, nesterov: bool
) -> None:
    options = {"weight_decay": 0.0, "dampening": 0.0, "maximize": False, "is_first_step": False}
    torch._fused_sgd_(values, gradients, buffers, lr=rate, momentum=momentum, nesterov=nesterov, **options)


_LISTS = "Tensor(a!)[] values, Tensor[] gradients, Tensor(b!)[]"
_adam = define_fused(
    "kmodels::adam_",
    f"{_LISTS} means, Tensor(c!)[] squares, Tensor step, Tensor rate, float beta_1, float beta_2, float epsilon",
    _adam_fused,
    _adam_foreach,
)
_sgd = define_fused(
    "kmodels::sgd_", f"{_LISTS} buffers, Tensor rate, float momentum, bool nesterov", _sgd_fused, _sgd_foreach
)
