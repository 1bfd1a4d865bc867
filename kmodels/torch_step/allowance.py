"""Which kinds of batches are worth a recording: those that come often enough to make up for the time it takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable

__all__ = ["Allowance"]

# Steps after which a recording has saved what it costs in a network of one dense layer. Every other needs fewer, as
# long as its layers take few operations each: what is saved is mostly what Keras does around a layer's call, and what
# is paid grows with the operations.
_AHEAD = 125  # of its kind, still to come
_ALL = 400  # of training, still to come, for whole and short last batches of training and evaluation
_TAKEN = 1500  # already taken, for each recording: even if none comes it adds a tenth at most to their time
_STANDARD = 4  # kinds of batches that are recorded at any length: whole and short last ones, of both
_OPERATIONS = 40  # a layer, of forward and backward pass, up to which that holds; with more, as many times more steps


class Allowance:
    """Counts steps, and foretells how often a kind of batches is still going to come.

    Args:
        limited: False to record whatever comes.
        ahead: training steps to come, where they are known once and for all. They alone then allow everything or
            nothing: a training that is resumed has taken fewer steps, and must not become another one.

    Example:
        >>> allowance = Allowance(True, None)
        >>> allowance.expect(epochs=10, steps=20)
        >>> allowance.reason("whole", training=True) is None
        True
    """

    def __init__(self, limited: bool, ahead: int | None) -> None:
        self._limited, self._given = limited, ahead
        self._vain = self._trained = self._made_at = 0
        self._recorded: set[Hashable] = set()
        self._times = 1
        self.reset()

    def reset(self) -> None:
        """Begins anew, as the model does after `compile`."""
        if self._recorded:
            self._lose(self._least if self._given is None else self._least_given)
        self._taken = self._unforeseen = 0
        self._recorded.clear()
        self._times, self._in_vain = 1, False
        self.expect(None, None)

    def expect(self, epochs: int | None, steps: int | None) -> None:
        """Hears of a call that trains so many epochs of so many steps; None where that is not known."""
        self._coming = epochs * steps if epochs is not None and steps is not None else None
        self._short = 0 if epochs is None or steps == 1 else epochs  # batches: the last of an epoch may be another kind
        self._here = 0
        self._in_vain = self._in_vain and not self._earned()
        self._seen: Counter[Hashable] = Counter()

    def weigh(self, operations: int, layers: int) -> None:
        """Hears what a step consists of, on which depends how many it takes to make up for a recording.

        Args:
            operations: of its forward and backward pass, 0 or more.
            layers: that Keras calls, 1 or more.
        """
        self._times = max(self._times, math.ceil(operations / (_OPERATIONS * layers)))

    def note(self, kind: Hashable, *, training: bool, steps: int = 1) -> None:
        """Counts steps that are being taken, by Keras or recorded."""
        self._taken += steps
        self._here += steps if training else 0
        self._trained += steps if training else 0
        self._seen[kind] += steps

    def changed(self) -> None:
        """Hears that the recordings had to be thrown away; what happens to new ones may happen again."""
        if self._here > 0:  # not what was done between two calls
            self._in_vain = self._lose(self._least) or self._in_vain

    def spend(self, kind: Hashable, *, training: bool) -> None:
        """Hears that a recording is made."""
        self._recorded.add(kind)
        self._unforeseen += self._future(kind, training) < self._least
        self._made_at = self._trained

    def closed(self, *, training: bool) -> bool:
        """Returns whether no kind at all is worth it now, so that there is no need to look at the batch."""
        if not self._limited or self._given is not None or self._earned():
            return self.reason(None, training=training) is not None
        if self._coming is None or self._in_vain:
            return True
        return self._coming - self._here < self._least if training else not 0 < self._here < self._coming

    def reason(self, kind: Hashable, *, training: bool) -> str | None:
        """Returns why batches of a kind are not recorded now; None where it is worth it.

        Args:
            kind: of the batch that comes now, as `note` is told of it afterwards.
            training: whether it is a training step.
        """
        if self._given is not None and self._limited:
            return self._reason_by_number(kind, self._given // self._least_given)
        if not self._limited or self._earned() or self._future(kind, training) >= self._least:
            return None
        if self._coming is None:
            every = _TAKEN * self._times
            return f"it is not known how many more come; one kind of batches is recorded every {every:,} steps"
        return f"fewer than {self._least:,} more of these batches are to be expected, so that recording does not pay"

    def _reason_by_number(self, kind: Hashable, paid: int) -> str | None:
        """Returns why not, where the steps ahead pay for so many recordings that come to nothing."""
        if paid == 0:
            return f"fewer than {self._least_given:,} steps are ahead, so that no recording pays"
        if self._vain >= paid:
            return "what is recorded is lost too often for the steps ahead"
        most = _STANDARD - 1 + paid  # each kind beyond the standard ones may be the one that never comes again
        if kind is not None and kind not in self._recorded and len(self._recorded) >= most:
            return f"batches of {len(self._recorded)} kinds are recorded; for more there are too few steps ahead"
        return None

    @property
    def _least(self) -> int:
        return _AHEAD * self._times

    @property
    def _least_given(self) -> int:
        return _ALL * self._times

    def _lose(self, enough: int) -> bool:
        """Counts recordings as made in vain where fewer steps than enough were taken since; returns whether it did."""
        vain = self._trained < self._made_at + enough
        self._vain += vain
        return vain

    def _earned(self) -> bool:
        """Whether the steps taken so far make one more recording a tenth of their time at most."""
        return self._taken // (_TAKEN * self._times) > self._unforeseen + self._vain

    def _future(self, kind: Hashable, training: bool) -> int:
        """How many batches of a kind are still to come, by how many came; of the first one by what `fit` says."""
        if self._coming is None or self._in_vain:
            return 0
        left = self._coming - self._here
        future = self._seen[kind] * left // self._here if self._here else left * training
        if training:
            future = min(future, left - self._short)
        return future
