"""How many recordings are worth their time: in a training of a few steps none, as they take longer than they save."""

from __future__ import annotations

import math

from kmodels.plural import counted

__all__ = ["Allowance"]

# Steps after which a recording has saved what it costs, in a network of one dense layer; every other needs fewer.
_AHEAD = 125  # still to come, for each recording
_ALL = 400  # still to come, for those of whole and short last batches, of training and evaluation
_TAKEN = 700  # already taken, for each recording: even if none comes it adds a tenth at most to their time


class Allowance:
    """Counts steps, and the recordings that they are worth: of training steps half, rounded up, of evaluation the rest.

    Args:
        limited: False to record whatever comes.
        ahead: training steps to come, where they are known once and for all. They alone then allow everything or
            nothing: a training that is resumed has taken fewer steps, and must not become another one.

    Example:
        >>> allowance = Allowance(True, None)
        >>> allowance.expect(200)
        >>> allowance.reason(training=True) is None, allowance.reason(training=False)
        (True, 'it has 200 steps ahead, and every recording needs 125 to pay')
    """

    def __init__(self, limited: bool, ahead: int | None) -> None:
        self._limited, self._ahead = limited, ahead
        self.reset()

    def reset(self) -> None:
        """Begins anew, as the model does after `compile`."""
        self._taken, self._worth, self._coming = 0, 0.0, self._ahead
        self._made = {True: 0, False: 0}
        if not self._limited or (self._ahead is not None and self._ahead >= _ALL):
            self._worth = math.inf

    def expect(self, steps: int | None) -> None:
        """Hears of a call that is going to take so many training steps; None where that is not known."""
        if self._ahead is None:
            self._coming = steps
            self._worth += 0 if steps is None else steps // _AHEAD

    def note(self, steps: int = 1) -> None:
        """Counts steps that were taken, of training or evaluation, by Keras or recorded."""
        self._taken += steps

    def spend(self, *, training: bool) -> None:
        """Counts one recording that was made."""
        self._made[training] += 1

    def reason(self, *, training: bool) -> str | None:
        """Returns why a further kind of batches is not recorded now; None where it is worth it."""
        worth = self._worth if self._ahead is not None else max(self._worth, self._taken // _TAKEN)
        if 2 * (self._made[training] + 1) <= worth + training:
            return None
        if self._ahead is not None:
            return f"it has fewer than {_ALL} steps ahead, so that recording does not pay"
        if self._coming is None:
            return f"it is not known how many steps it has ahead; every {_TAKEN} one recording is made"
        return f"it has {counted(self._coming, 'step')} ahead, and every recording needs {_AHEAD} to pay"
