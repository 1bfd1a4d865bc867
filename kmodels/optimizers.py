"""PyTorch's optimizers for Keras: the same numbers as `torch.optim`, on every backend.

Keras' own differ: Adam adds epsilon before the bias correction, momentum buffers hold steps instead of gradients (so a
changed learning rate acts at once), NAdam has another momentum schedule, and nothing adds L2 to the gradient.
Everything is arithmetic on tensors, so that a step can be recorded or compiled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmodels.checks import require
from kmodels.pytorch_optimizer import MomentOptimizer, PyTorchOptimizer

if keras.backend.backend() == "torch":
    from kmodels.torch_step.pytorch_rules import RULES, TorchAdamRule, TorchNAdamRule, TorchSGDRule

__all__ = ["SGD", "Adam", "AdamW", "NAdam"]


@keras.saving.register_keras_serializable(package="kmodels")
class Adam(MomentOptimizer):
    """PyTorch's Adam: epsilon is added after the bias correction, L2 to the gradient.

    Args:
        learning_rate: step size, a number or a schedule.
        beta_1: decay of the running mean of gradients, in [0, 1).
        beta_2: decay of the running mean of squared gradients, in [0, 1).
        epsilon: added to the root of the bias-corrected mean square, 0 or more.
        l2: this times the variable is added to its gradient, after clipping: `torch.optim.Adam`'s `weight_decay`.
        weight_decay: every variable is first multiplied by 1 - learning rate × this, biases and normalisations
            included, as `torch.optim.AdamW` does; None for none.
        global_clipnorm: largest norm of all gradients together, as in `torch.nn.utils.clip_grad_norm_`; None for any.
        **options: further arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: a number is outside its range; the message names it.

    Example:
        >>> Adam(1e-3, l2=1e-5, global_clipnorm=10.0).epsilon
        1e-08

    Reference:
        Kingma and Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015, algorithm 1.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        l2: float = 0.0,
        weight_decay: float | None = None,
        global_clipnorm: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, l2, weight_decay, global_clipnorm, **options)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable and its two moments.

        Args:
            gradient: of the variable's shape.
            variable: the variable.
            learning_rate: step size.
        """
        dtype = variable.dtype
        mean, square = self.moments(self.penalised(gradient, variable), variable)
        # epsilon after the bias correction, with the correction moved into the scalars
        root = ops.sqrt(self.bias_correction(self.beta_2))
        size = ops.cast(ops.cast(learning_rate, "float32") * root / self.bias_correction(self.beta_1), dtype)
        denominator = ops.add(ops.sqrt(square), ops.cast(self.epsilon * root, dtype))
        self.assign_sub(variable, ops.multiply(ops.divide(mean, denominator), size))


@keras.saving.register_keras_serializable(package="kmodels")
class AdamW(Adam):
    """PyTorch's AdamW: `Adam` whose decoupled weight decay is 0.01 by default.

    Args:
        learning_rate: step size, a number or a schedule.
        beta_1: see `Adam`.
        beta_2: see `Adam`.
        epsilon: see `Adam`.
        l2: see `Adam`.
        weight_decay: see `Adam`.
        global_clipnorm: see `Adam`.
        **options: further arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: a number is outside its range; the message names it.

    Example:
        >>> AdamW(1e-3).weight_decay
        0.01

    Reference:
        Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        l2: float = 0.0,
        weight_decay: float | None = 1e-2,
        global_clipnorm: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, l2, weight_decay, global_clipnorm, **options)


@keras.saving.register_keras_serializable(package="kmodels")
class NAdam(MomentOptimizer):
    """PyTorch's NAdam: Adam with Nesterov momentum and a momentum that rises over the steps.

    Args:
        learning_rate: step size, a number or a schedule.
        beta_1: see `Adam`.
        beta_2: see `Adam`.
        epsilon: see `Adam`.
        momentum_decay: the momentum of step t is beta_1 · (1 - 0.96^(t · this) / 2); 0 or more.
        l2: see `Adam`.
        weight_decay: see `Adam`.
        global_clipnorm: see `Adam`.
        **options: further arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: a number is outside its range; the message names it.

    Example:
        >>> NAdam(2e-3).momentum_decay
        0.004

    Reference:
        Dozat, *Incorporating Nesterov Momentum into Adam*, ICLR 2016 workshop; row C-4.
    """

    def __init__(
        self,
        learning_rate: Any = 2e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 4e-3,
        l2: float = 0.0,
        weight_decay: float | None = None,
        global_clipnorm: float | None = None,
        **options: Any,
    ) -> None:
        require(0.0 <= momentum_decay < math.inf, "momentum_decay", "a finite number, 0 or more", momentum_decay)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, l2, weight_decay, global_clipnorm, **options)
        self.momentum_decay = momentum_decay

    def _add_slots(self, variables: Sequence[Any]) -> None:
        super()._add_slots(variables)
        self._momentum_product = self.add_variable((), "ones", dtype="float32", name="momentum_product")

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this optimizer again."""
        return {**super().get_config(), "momentum_decay": self.momentum_decay}

    def _momentum(self, step: Any) -> Any:
        return self.beta_1 * (1.0 - 0.5 * ops.exp(step * (self.momentum_decay * math.log(0.96))))

    def before_updates(self) -> None:
        """Moves the product of all momenta on, which every variable reads."""
        self.assign(self._momentum_product, self._momentum_product * self._momentum(self.step()))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable and its two moments.

        Args:
            gradient: of the variable's shape.
            variable: the variable.
            learning_rate: step size.
        """
        dtype, rate = variable.dtype, ops.cast(learning_rate, "float32")
        gradient = self.penalised(gradient, variable)
        mean, square = self.moments(gradient, variable)
        momentum, following = self._momentum(self.step()), self._momentum(self.step() + 1.0)
        product = ops.convert_to_tensor(self._momentum_product)
        now = ops.cast(rate * (1.0 - momentum) / (1.0 - product), dtype)
        ahead = ops.cast(rate * following / (1.0 - product * following), dtype)
        root = ops.cast(ops.sqrt(self.bias_correction(self.beta_2)), dtype)
        denominator = ops.add(ops.divide(ops.sqrt(square), root), self.epsilon)
        numerator = ops.add(ops.multiply(gradient, now), ops.multiply(mean, ahead))
        self.assign_sub(variable, ops.divide(numerator, denominator))


@keras.saving.register_keras_serializable(package="kmodels")
class SGD(PyTorchOptimizer):
    """PyTorch's SGD: the momentum buffer sums gradients, and the learning rate multiplies what comes out of it.

    Args:
        learning_rate: step size, a number or a schedule.
        momentum: decay of the buffer, in [0, 1); 0 keeps none.
        nesterov: look one step ahead; needs momentum.
        l2: see `Adam`; `torch.optim.SGD`'s `weight_decay`.
        weight_decay: see `Adam`.
        global_clipnorm: see `Adam`.
        **options: further arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: a number is outside its range; the message names it.

    Example:
        >>> SGD(0.1, momentum=0.9, nesterov=True, l2=5e-4).nesterov
        True

    Reference:
        Sutskever et al., *On the importance of initialization and momentum in deep learning*, ICML 2013.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float = 0.0,
        weight_decay: float | None = None,
        global_clipnorm: float | None = None,
        **options: Any,
    ) -> None:
        require(0.0 <= momentum < 1.0, "momentum", "a number in [0, 1)", momentum)
        require(not nesterov or momentum > 0.0, "nesterov", "False where momentum is 0", nesterov)
        super().__init__(learning_rate, l2, weight_decay, global_clipnorm, **options)
        self.momentum = momentum
        self.nesterov = nesterov

    def _add_slots(self, variables: Sequence[Any]) -> None:
        self._buffers = self.add_optimizer_variables(variables, "momentum") if self.momentum else []

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this optimizer again."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable and its buffer.

        Args:
            gradient: of the variable's shape.
            variable: the variable.
            learning_rate: step size.
        """
        direction = gradient = self.penalised(gradient, variable)
        if self.momentum:
            buffer = self.slot(self._buffers, variable)
            # a buffer that starts at zero becomes the gradient in the first step, as PyTorch's does
            self.assign(buffer, ops.add(ops.multiply(buffer, self.momentum), gradient))
            direction = ops.add(gradient, ops.multiply(buffer, self.momentum)) if self.nesterov else buffer
        self.assign_sub(variable, ops.multiply(direction, ops.cast(learning_rate, variable.dtype)))


if keras.backend.backend() == "torch":
    RULES.update({Adam: TorchAdamRule, AdamW: TorchAdamRule, NAdam: TorchNAdamRule, SGD: TorchSGDRule})
