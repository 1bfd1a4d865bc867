"""Whether recording a step pays: not in a training of a few steps, where it takes longer than it saves."""

from __future__ import annotations

from kmodels.plural import counted

__all__ = ["Threshold"]

_FEW = 100  # Recording training and evaluation is taken to cost more than fewer steps save: a count on the safe side.
_MANY = 200  # Once Keras has taken so many, recording adds less than a tenth to their time, whatever comes after.


class Threshold:
    """Counts the steps that are left to Keras, until recording is worth its time.

    Args:
        waits: False to record at the first step.
        ahead: training steps to come, where they are known once and for all: then they alone decide.

    Example:
        >>> threshold = Threshold(True, None)
        >>> threshold.expect(60)
        >>> threshold.reason()
        'only 60 steps lie ahead of it; from 100 on recording pays'
        >>> threshold.expect(3000)
        >>> print(threshold.reason())
        None
    """

    def __init__(self, waits: bool, ahead: int | None) -> None:
        self._waits, self._ahead = waits, ahead
        self.reset()

    def reset(self) -> None:
        """Begins anew, as the model does after `compile`."""
        self._taken, self._coming = 0, self._ahead
        self._over = not self._waits

    def expect(self, steps: int | None) -> None:
        """Hears of a call that is going to take so many training steps; None where that is not known."""
        if self._ahead is None:
            self._coming = steps

    def note(self) -> None:
        """Counts one step, of training or evaluation, that Keras has taken."""
        self._taken += 1

    def reason(self) -> str | None:
        """Returns why the next step is left to Keras; None from the first one on that is not."""
        enough = self._coming is not None and self._coming >= _FEW
        waited = self._ahead is None and self._taken >= _MANY
        self._over = self._over or enough or waited
        if self._over:
            return None
        if self._ahead is not None:
            return f"fewer than {_FEW} steps lie ahead of it"
        if self._coming is None:
            return f"it is not known how many steps lie ahead of it; after {_MANY} recording pays"
        return f"only {counted(self._coming, 'step')} lie ahead of it; from {_FEW} on recording pays"
