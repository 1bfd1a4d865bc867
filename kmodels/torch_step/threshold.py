"""Whether recording a step pays: not in a training of a few steps, where it takes longer than it saves."""

from __future__ import annotations

from kmodels.plural import counted

__all__ = ["Threshold"]

_FEW = 100  # ahead; every network of benchmarks/README.md has made up for recording before the half of them
_MANY = 200  # taken by Keras, so that recording adds little to their time even if nothing comes after


class Threshold:
    """Counts the steps that are left to Keras, until recording is worth its time.

    Args:
        waits: False to record at the first step.
        ahead: training steps to come, where they are known once and for all: then they alone decide.

    Example:
        >>> threshold = Threshold(True, None)
        >>> threshold.expect(60)
        >>> threshold.reason()
        'it has 60 steps ahead; from 100 on recording pays'
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
        self._over = not self._waits or (self._ahead is not None and self._ahead >= _FEW)

    def expect(self, steps: int | None) -> None:
        """Hears of a call that is going to take so many training steps; None where that is not known."""
        if self._ahead is None:
            self._coming = steps
            self._over = self._over or (steps is not None and steps >= _FEW)

    def note(self) -> None:
        """Counts one step, of training or evaluation, that Keras has taken."""
        self._taken += 1
        self._over = self._over or (self._ahead is None and self._taken >= _MANY)

    def reason(self) -> str | None:
        """Returns why the next step is left to Keras; None from the first one on that is not."""
        if self._over:
            return None
        if self._ahead is not None:
            return f"it has fewer than {_FEW} steps ahead"
        if self._coming is None:
            return f"it is not known how many steps it has ahead; after {_MANY} recording pays"
        return f"it has {counted(self._coming, 'step')} ahead; from {_FEW} on recording pays"
