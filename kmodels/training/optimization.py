"""The optimizer and learning-rate schedule that a recipe asks for."""

from __future__ import annotations

from typing import Any

import keras

from kmodels import optimizers, schedules
from kmodels.checks import require
from kmodels.spec.experiment import Recipe

__all__ = ["optimizer_for"]


def optimizer_for(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Returns a new optimizer, not yet built, with PyTorch's semantics.

    Args:
        recipe: names the optimizer, its numbers and the schedule.
        steps_per_epoch: batches an epoch, 1 or more; without weight where the schedule is constant.

    Raises:
        ValueError: `steps_per_epoch` is not such a number.

    Example:
        >>> from kmodels.spec.experiment import Schedule, Split
        >>> recipe = Recipe(model="lenet", dataset="digits", split=Split(kind="kfold", folds=2), epochs=4,
        ...                 batch_size=8, optimizer="sgd", learning_rate=0.1, momentum=0.9,
        ...                 schedule=Schedule(kind="exponential", gamma=0.5))
        >>> optimizer = optimizer_for(recipe, steps_per_epoch=10)
        >>> type(optimizer).__name__, optimizer.momentum
        ('SGD', 0.9)
    """
    require(
        type(steps_per_epoch) is int and steps_per_epoch >= 1,
        "steps_per_epoch",
        "an integer, 1 or more",
        steps_per_epoch,
    )
    common = {
        "learning_rate": _learning_rate(recipe, steps_per_epoch),
        "l2": recipe.l2,
        "weight_decay": recipe.weight_decay or None,
        "global_clipnorm": recipe.clip_norm,
    }
    if recipe.optimizer == "sgd":
        return optimizers.SGD(momentum=recipe.momentum, nesterov=recipe.nesterov, **common)
    kinds = {"adam": optimizers.Adam, "adamw": optimizers.AdamW, "nadam": optimizers.NAdam}
    return kinds[recipe.optimizer](**common)


def _learning_rate(recipe: Recipe, steps_per_epoch: int) -> Any:
    """A number where it is constant, so that callbacks can still set it, else a schedule."""
    asked, rate = recipe.schedule, float(recipe.learning_rate)
    if asked.kind == "constant":
        return rate
    found: Any
    if asked.kind == "step":
        found = schedules.StepLR(rate, steps_per_epoch, asked.step_epochs, asked.gamma)
    elif asked.kind == "multistep":
        found = schedules.MultiStepLR(rate, steps_per_epoch, asked.milestones, asked.gamma)
    elif asked.kind == "exponential":
        found = schedules.Exponential(rate, steps_per_epoch, asked.gamma)
    else:
        found = schedules.Cosine(rate, steps_per_epoch, recipe.epochs - asked.warmup_epochs, asked.final_fraction)
    return schedules.WarmUp(found, asked.warmup_epochs * steps_per_epoch) if asked.warmup_epochs else found
