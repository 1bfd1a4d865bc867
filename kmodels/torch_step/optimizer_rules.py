"""Which optimizers can be recorded: the rule of each, and what no rule has."""

from __future__ import annotations

import keras

from kmodels.checks import require
from kmodels.torch_step.pytorch_rules import RULES
from kmodels.torch_step.replaced_methods import replaced_methods
from kmodels.torch_step.stock_rules import AdamRule, NadamRule, SGDRule
from kmodels.torch_step.updates import UpdateRule

__all__ = ["Unsupported", "UpdateRule", "update_rule"]

_OPTIONS = {
    "use_ema": "keeps a moving average of the weights (use_ema)",
    "gradient_accumulation_steps": "accumulates gradients (gradient_accumulation_steps)",
    "loss_scale_factor": "scales the loss (loss_scale_factor)",
}


class Unsupported(Exception):
    """Something cannot be recorded; the message names the cause."""


def update_rule(optimizer: keras.optimizers.Optimizer) -> UpdateRule:
    """Returns how an optimizer updates its variables, without a read of a tensor on the host.

    Args:
        optimizer: a built optimizer; its class must be exactly one of those known, as a subclass may do anything.

    Raises:
        Unsupported: the class is another, or the optimizer or its variables have what no rule has, or
            a method of the class was replaced.
        ValueError: the optimizer is not built.

    Example:
        >>> optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        >>> optimizer.build([keras.Variable([1.0, 2.0])])
        >>> len(update_rule(optimizer).slots())
        1
    """
    kind = type(optimizer)
    rule = _rules().get(kind)
    if rule is None:
        raise Unsupported(f"the update of optimizer {kind.__module__}.{kind.__qualname__} is not known")
    for name in replaced_methods(optimizer):
        raise Unsupported(f"the optimizer has a {name} of its own")
    require(optimizer.built, "optimizer", "a built optimizer", optimizer)
    for option, meaning in _OPTIONS.items():
        if getattr(optimizer, option):
            raise Unsupported(f"the optimizer {meaning}")
    found = rule(optimizer)
    for name, value in found.constants().items():
        if value is not None and not isinstance(value, int | float):
            raise Unsupported(f"the optimizer's {name} is not a plain number: {value!r}")
    for variable in optimizer._trainable_variables:
        if getattr(variable, "constraint", None) is not None:
            raise Unsupported(f"the variable {variable.path} has a constraint")
        if getattr(variable, "overwrite_with_gradient", False):
            raise Unsupported(f"the variable {variable.path} is overwritten with its gradient")
    return found


def _rules() -> dict[type, type[UpdateRule]]:
    stock: dict[type, type[UpdateRule]] = {
        keras.optimizers.SGD: SGDRule,
        keras.optimizers.Adam: AdamRule,
        keras.optimizers.AdamW: AdamRule,
        keras.optimizers.Nadam: NadamRule,
    }
    # asked for one of these, Keras makes an object of a subclass that it keeps for this backend
    rules = {type(keras.optimizers.Optimizer.__new__(public)): rule for public, rule in stock.items()}
    return {**rules, **RULES}
