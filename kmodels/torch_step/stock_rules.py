"""Keras' own optimizers, operation by operation as its torch backend runs them, without a read on the host."""

from __future__ import annotations

import torch
from torch import Tensor

from kmodels.torch_step.updates import Tensors, UpdateRule, subtract_scaled

__all__ = ["AdamRule", "NadamRule", "SGDRule"]


class SGDRule(UpdateRule):
    """`keras.optimizers.SGD`.

    Keras reads the learning rate on the host and multiplies by it inside one addition, which rounds once. On the CPU
    there is such an operation for a rate on the device too, and the bits are the same; on a GPU the product is rounded
    first, so a result may differ by half a unit in the last place of the product.
    """

    numbers = ("momentum", "nesterov")

    def _lists(self) -> tuple[str, ...]:
        return ("momentums",) if self.optimizer.momentum != 0 else ()

    def _update(
        self, values: Tensors, gradients: Tensors, slots: list[Tensors], scalars: Tensors, step: Tensor, rate: Tensor
    ) -> None:
        momentum = self.optimizer.momentum
        if not slots:
            subtract_scaled(values, gradients, rate)
            return
        (buffers,) = slots
        torch._foreach_mul_(buffers, momentum)
        subtract_scaled(buffers, gradients, rate)
        if self.optimizer.nesterov:
            subtract_scaled(values, gradients, rate)
            torch._foreach_add_(values, buffers, alpha=momentum)
        else:
            torch._foreach_add_(values, buffers)


class AdamRule(UpdateRule):
    """`keras.optimizers.Adam` and `AdamW`, bit by bit."""

    numbers = ("beta_1", "beta_2", "epsilon", "amsgrad")

    def _lists(self) -> tuple[str, ...]:
        return ("_momentums", "_velocities") + (("_velocity_hats",) if self.optimizer.amsgrad else ())

    def _update(
        self, values: Tensors, gradients: Tensors, slots: list[Tensors], scalars: Tensors, step: Tensor, rate: Tensor
    ) -> None:
        beta_1, beta_2 = self.optimizer.beta_1, self.optimizer.beta_2
        dtype = values[0].dtype
        now = (step + 1).to(dtype)
        power_1, power_2 = _power(beta_1, now), _power(beta_2, now)
        size = rate.to(dtype) * torch.sqrt(1 - power_2) / (1 - power_1)
        means, squares = slots[:2]
        _move_moments(means, squares, gradients, beta_1, beta_2)
        if self.optimizer.amsgrad:
            torch._foreach_maximum_(slots[2], squares)
            squares = slots[2]
        denominators = torch._foreach_sqrt(squares)
        torch._foreach_add_(denominators, self.optimizer.epsilon)
        steps = torch._foreach_mul(means, size)
        torch._foreach_div_(steps, denominators)
        torch._foreach_sub_(values, steps)


class NadamRule(UpdateRule):
    """`keras.optimizers.Nadam`.

    Keras reads two divisors on the host; here they stay on the device. On the CPU the bits are the same; CUDA divides
    by a number from the host through its reciprocal, so there the last bit may differ.
    """

    numbers = ("beta_1", "beta_2", "epsilon")

    def _lists(self) -> tuple[str, ...]:
        return ("_momentums", "_velocities")

    def _scalars(self) -> tuple[str, ...]:
        return ("_u_product",)

    def _update(
        self, values: Tensors, gradients: Tensors, slots: list[Tensors], scalars: Tensors, step: Tensor, rate: Tensor
    ) -> None:
        dtype = values[0].dtype
        now, following = (step + 1).to(dtype), (step + 2).to(dtype)
        beta_1 = torch.full_like(now, self.optimizer.beta_1)
        momentum = beta_1 * (1.0 - 0.5 * _power(0.96, now))
        next_momentum = beta_1 * (1.0 - 0.5 * _power(0.96, following))
        (product,) = scalars
        product.mul_(momentum)
        means, squares = slots
        _move_moments(means, squares, gradients, self.optimizer.beta_1, self.optimizer.beta_2)
        steps = torch._foreach_mul(means, next_momentum)
        torch._foreach_div_(steps, 1 - product * next_momentum)
        ahead = torch._foreach_mul(gradients, 1 - momentum)
        torch._foreach_div_(ahead, 1 - product)
        torch._foreach_add_(steps, ahead)
        denominators = torch._foreach_div(squares, 1 - _power(self.optimizer.beta_2, now))
        torch._foreach_sqrt_(denominators)
        torch._foreach_add_(denominators, self.optimizer.epsilon)
        torch._foreach_mul_(steps, rate.to(dtype))
        torch._foreach_div_(steps, denominators)
        torch._foreach_sub_(values, steps)


def _power(number: float, exponent: Tensor) -> Tensor:
    """The number rounded to the exponent's dtype first, as Keras does."""
    return torch.pow(torch.full_like(exponent, number), exponent)


def _move_moments(means: Tensors, squares: Tensors, gradients: Tensors, beta_1: float, beta_2: float) -> None:
    torch._foreach_mul_(means, beta_1)
    torch._foreach_add_(means, gradients, alpha=1 - beta_1)
    torch._foreach_mul_(squares, beta_2)
    torch._foreach_add_(squares, torch._foreach_mul(gradients, gradients), alpha=1 - beta_2)
