"""How the learning rate changes over a training: plain frozen values, standard library only."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

from kmodels.checks import require

__all__ = ["Restart", "Schedule"]

ScheduleKind = Literal["constant", "step", "multistep", "exponential", "cosine"]

_SCHEDULE_FIELDS: dict[str, tuple[str, ...]] = {
    "constant": (),
    "step": ("step_epochs", "gamma"),
    "multistep": ("milestones", "gamma"),
    "exponential": ("gamma", "warmup_epochs"),
    "cosine": ("final_fraction", "warmup_epochs"),
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate changes over the epochs, from `Recipe.learning_rate` on.

    Attributes:
        kind: `constant`; `step` (times gamma every few epochs), `multistep` (times gamma at given epochs),
            `exponential` (times gamma after every epoch), all three constant inside an epoch; or `cosine` (down half a
            cosine over the epochs left after warming up, a little every step).
        gamma: factor in (0, 1], for `step`, `multistep` and `exponential`; 1 otherwise.
        step_epochs: epochs from one decay to the next, 1 or more, for `step`; 0 otherwise.
        milestones: epochs, counted from 0, at whose start the rate falls, rising, for `multistep`; empty otherwise.
        warmup_epochs: epochs over which the rate first rises in a straight line, a little every step, for `exponential`
            and `cosine`; 0 for none.
        final_fraction: share of the rate that is left in the end, in [0, 1], for `cosine`; 0 otherwise.

    Raises:
        ValueError: a field is outside its range, or is not one of the kind's.

    Example:
        >>> Schedule(kind="step", step_epochs=2, gamma=0.9).as_dict()
        {'kind': 'step', 'step_epochs': 2, 'gamma': 0.9}
    """

    kind: ScheduleKind = "constant"
    gamma: float = 1.0
    step_epochs: int = 0
    milestones: tuple[int, ...] = ()
    warmup_epochs: int = 0
    final_fraction: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))  # a list where it was read from JSON
        require(self.kind in _SCHEDULE_FIELDS, "kind", f"one of {', '.join(_SCHEDULE_FIELDS)}", self.kind)
        own = _SCHEDULE_FIELDS[self.kind]
        for f in dataclasses.fields(self)[1:]:
            value = getattr(self, f.name)
            require(f.name in own or value == f.default, f.name, f"{f.default!r} for kind={self.kind!r}", value)
        require(0.0 < self.gamma <= 1.0, "gamma", "a number in (0, 1]", self.gamma)
        for name, least in (("step_epochs", int(self.kind == "step")), ("warmup_epochs", 0)):
            value = getattr(self, name)
            require(type(value) is int and value >= least, name, f"an integer, {least} or more", value)
        if self.kind == "multistep":
            whole = bool(self.milestones) and all(type(epoch) is int and epoch >= 1 for epoch in self.milestones)
            rising = whole and all(a < b for a, b in itertools.pairwise(self.milestones))
            require(rising, "milestones", "rising integers, 1 or more, at least one", self.milestones)
        require(0.0 <= self.final_fraction <= 1.0, "final_fraction", "a number in [0, 1]", self.final_fraction)

    def as_dict(self) -> dict[str, Any]:
        """Returns the kind and its own fields as JSON-ready values."""
        values = {name: getattr(self, name) for name in ("kind", *_SCHEDULE_FIELDS[self.kind])}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class Restart:
    """One more training that begins with the weights of the one before it, with a fresh optimizer and another rate.

    Attributes:
        epochs: passes over the training part, 1 or more.
        learning_rate: step size, above 0, from which the recipe's schedule begins anew.

    Raises:
        ValueError: a field is outside its range.

    Example:
        >>> Restart(epochs=30, learning_rate=1e-4).epochs
        30
    """

    epochs: int
    learning_rate: float

    def __post_init__(self) -> None:
        require(type(self.epochs) is int and self.epochs >= 1, "epochs", "an integer, 1 or more", self.epochs)
        require(0.0 < self.learning_rate < math.inf, "learning_rate", "a finite number above 0", self.learning_rate)
