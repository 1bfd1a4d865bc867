"""Learning rates over the steps of a training: PyTorch's schedulers as Keras schedules.

PyTorch's are moved on once an epoch, Keras' are asked every step; these count steps and know how many an epoch has.
They are arithmetic on tensors without a branch or a read on the host, so that a step can be recorded or compiled. A
constant rate needs none of them: give the optimizer a number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmodels.checks import require

__all__ = ["Cosine", "Exponential", "MultiStepLR", "StepLR", "WarmUp"]


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, learning_rate: float, steps_per_epoch: int) -> None:
        require(0.0 < learning_rate < math.inf, "learning_rate", "a finite number above 0", learning_rate)
        _whole("steps_per_epoch", steps_per_epoch)
        self.learning_rate = learning_rate
        self.steps_per_epoch = steps_per_epoch

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this schedule again."""
        return {"learning_rate": self.learning_rate, "steps_per_epoch": self.steps_per_epoch}

    def _epoch(self, step: Any) -> Any:
        return ops.floor_divide(ops.cast(step, "int32"), self.steps_per_epoch)


class _Decay(_Schedule):
    """A rate multiplied by gamma now and then; constant inside an epoch."""

    def __init__(self, learning_rate: float, steps_per_epoch: int, gamma: float) -> None:
        super().__init__(learning_rate, steps_per_epoch)
        require(0.0 < gamma <= 1.0, "gamma", "a number in (0, 1]", gamma)
        self.gamma = gamma

    def __call__(self, step: Any) -> Any:
        """Returns the rate of a step, float32 of shape `()`.

        Args:
            step: steps taken before, 0 or more.
        """
        decays = ops.cast(self._decays(self._epoch(step)), "float32")
        return self.learning_rate * ops.exp(decays * math.log(self.gamma))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this schedule again."""
        return {**super().get_config(), "gamma": self.gamma}

    def _decays(self, epoch: Any) -> Any:
        """How many times the rate has been multiplied."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="kmodels")
class StepLR(_Decay):
    """Multiplies the rate by gamma every few epochs; constant inside an epoch, as `torch.optim.lr_scheduler.StepLR`.

    Args:
        learning_rate: rate of the first epoch, above 0.
        steps_per_epoch: batches an epoch, 1 or more.
        step_epochs: epochs from one decay to the next, 1 or more.
        gamma: factor, in (0, 1].

    Raises:
        ValueError: a number is outside its range; the message names it.

    Example:
        >>> schedule = StepLR(0.1, steps_per_epoch=10, step_epochs=2, gamma=0.5)
        >>> [round(float(schedule(step)), 6) for step in (0, 19, 20, 40)]
        [0.1, 0.1, 0.05, 0.025]

    Reference:
        Rows C-2 and C-4.
    """

    def __init__(self, learning_rate: float, steps_per_epoch: int, step_epochs: int, gamma: float) -> None:
        super().__init__(learning_rate, steps_per_epoch, gamma)
        _whole("step_epochs", step_epochs)
        self.step_epochs = step_epochs

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this schedule again."""
        return {**super().get_config(), "step_epochs": self.step_epochs}

    def _decays(self, epoch: Any) -> Any:
        return ops.floor_divide(epoch, self.step_epochs)


@keras.saving.register_keras_serializable(package="kmodels")
class MultiStepLR(_Decay):
    """Multiplies the rate by gamma at given epochs; constant inside an epoch, as PyTorch's `MultiStepLR`.

    Args:
        learning_rate: rate of the first epoch, above 0.
        steps_per_epoch: batches an epoch, 1 or more.
        milestones: epochs, counted from 0, at whose start the rate falls; rising, each 1 or more.
        gamma: factor, in (0, 1].

    Raises:
        ValueError: a number is outside its range; the message names it.

    Example:
        >>> schedule = MultiStepLR(0.1, steps_per_epoch=10, milestones=[20, 30], gamma=0.1)
        >>> [round(float(schedule(10 * epoch)), 6) for epoch in (19, 20, 30)]
        [0.1, 0.01, 0.001]

    Reference:
        Rows B-1 to B-5.
    """

    def __init__(
        self, learning_rate: float, steps_per_epoch: int, milestones: Sequence[int], gamma: float = 0.1
    ) -> None:
        super().__init__(learning_rate, steps_per_epoch, gamma)
        for milestone in milestones:
            _whole("milestones", milestone)
        rising = bool(milestones) and all(a < b for a, b in itertools.pairwise(milestones))
        require(rising, "milestones", "rising epochs, at least one", milestones)
        self.milestones = list(milestones)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this schedule again."""
        return {**super().get_config(), "milestones": self.milestones}

    def _decays(self, epoch: Any) -> Any:
        reached = [ops.cast(ops.greater_equal(epoch, milestone), "float32") for milestone in self.milestones]
        return sum(reached[1:], reached[0])


@keras.saving.register_keras_serializable(package="kmodels")
class Exponential(_Decay):
    """Multiplies the rate by gamma after every epoch; constant inside an epoch, as PyTorch's `ExponentialLR`.

    Args:
        learning_rate: rate of the first epoch, above 0.
        steps_per_epoch: batches an epoch, 1 or more.
        gamma: factor, in (0, 1].

    Raises:
        ValueError: a number is outside its range; the message names it.

    Example:
        >>> schedule = Exponential(0.1, steps_per_epoch=10, gamma=0.5)
        >>> [round(float(schedule(step)), 6) for step in (0, 9, 10, 20)]
        [0.1, 0.1, 0.05, 0.025]

    Reference:
        Rows E-T1 to E-T3.
    """

    def _decays(self, epoch: Any) -> Any:
        return epoch


@keras.saving.register_keras_serializable(package="kmodels")
class Cosine(_Schedule):
    """Lets the rate fall along half a cosine, a little every step; then it stays where it ended.

    At the start of an epoch it has the rate of PyTorch's `CosineAnnealingLR(T_max=epochs)`, which is constant inside
    one.

    Args:
        learning_rate: rate of the first step, above 0.
        steps_per_epoch: batches an epoch, 1 or more.
        epochs: length of the fall; above 0, not necessarily whole.
        final_fraction: the rate it ends at, as a share of the first; in [0, 1].

    Raises:
        ValueError: a number is outside its range; the message names it.

    Example:
        >>> schedule = Cosine(0.1, steps_per_epoch=10, epochs=4)
        >>> [round(float(schedule(step)), 6) for step in (0, 20, 40, 99)]
        [0.1, 0.05, 0.0, 0.0]

    Reference:
        Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, ICLR 2017; rows C-3, D-2 to D-4.
    """

    def __init__(self, learning_rate: float, steps_per_epoch: int, epochs: float, final_fraction: float = 0.0) -> None:
        super().__init__(learning_rate, steps_per_epoch)
        require(0.0 < epochs < math.inf, "epochs", "a finite number above 0", epochs)
        require(0.0 <= final_fraction <= 1.0, "final_fraction", "a number in [0, 1]", final_fraction)
        self.epochs = epochs
        self.final_fraction = final_fraction

    def __call__(self, step: Any) -> Any:
        """Returns the rate of a step, float32 of shape `()`.

        Args:
            step: steps taken before, 0 or more.
        """
        length = self.epochs * self.steps_per_epoch
        left = ops.maximum(length - ops.cast(step, "float32"), 0.0) / length
        # the square of the sine is (1 + cos)/2 without its loss of digits near the end
        share = ops.square(ops.sin(left * (math.pi / 2)))
        return self.learning_rate * (self.final_fraction + (1.0 - self.final_fraction) * share)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this schedule again."""
        return {**super().get_config(), "epochs": self.epochs, "final_fraction": self.final_fraction}


@keras.saving.register_keras_serializable(package="kmodels")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Lets the rate rise in a straight line, a little every step, then hands over to another schedule.

    Step s of the W first ones has (s + 1)/W of the other schedule's first rate: PyTorch's
    `LinearLR(start_factor=1/W, total_iters=W - 1)`, moved on every step. The other schedule counts its steps from
    there.

    Args:
        schedule: what follows.
        steps: length W of the rise, 1 or more.

    Raises:
        ValueError: a number is outside its range.

    Example:
        >>> schedule = WarmUp(Exponential(0.1, steps_per_epoch=10, gamma=0.5), steps=10)
        >>> [round(float(schedule(step)), 6) for step in (0, 4, 9, 10, 20)]
        [0.01, 0.05, 0.1, 0.1, 0.05]

    Reference:
        Goyal et al., *Accurate, Large Minibatch SGD*, 2017; row C-3.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, steps: int) -> None:
        _whole("steps", steps)
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        """Returns the rate of a step, float32 of shape `()`.

        Args:
            step: steps taken before, 0 or more.
        """
        step = ops.cast(step, "int32")
        share = ops.minimum(ops.cast(step + 1, "float32") / self.steps, 1.0)
        return share * self.schedule(ops.maximum(step - self.steps, 0))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build this schedule again."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """Returns the schedule that `get_config` described."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["steps"])


def _whole(name: str, value: object) -> None:
    require(type(value) is int and value >= 1, name, "an integer, 1 or more", value)
