"""Which kinds of batches are worth a recording: those that come often enough to make up for the time it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import keras

__all__ = ["Allowance", "patience"]

# Steps after which a recording has saved what it costs, in a network of one dense layer; every other needs fewer, but
# for those with recurrent layers.
_AHEAD = 125  # of its kind, still to come
_ALL = 400  # of training, still to come, for whole and short last batches of training and evaluation
_TAKEN = 1000  # already taken, for each recording: even if none comes it adds a tenth at most to their time
_STANDARD = 4  # kinds of batches that are recorded at any length: whole and short last ones, of both
_RECURRENT = 16  # times as many: recorded moment by moment, which takes long and gains little until it is compiled


def patience(model: keras.Model) -> int:
    """Returns how many times as many steps a recording of the model needs to pay for itself."""
    return _RECURRENT if any(isinstance(layer, keras.layers.RNN) for layer in model._flatten_layers()) else 1


class Allowance:
    """Counts steps, and foretells how often a kind of batches is still going to come.

    Args:
        limited: False to record whatever comes.
        ahead: training steps to come, where they are known once and for all. They alone then allow everything or
            nothing: a training that is resumed has taken fewer steps, and must not become another one.
        times: as many steps a recording needs to pay for itself, see `patience`.

    Example:
        >>> allowance = Allowance(True, None)
        >>> allowance.expect(epochs=10, steps=20)
        >>> allowance.reason("whole", training=True) is None
        True
    """

    def __init__(self, limited: bool, ahead: int | None, times: int = 1) -> None:
        self._limited, self._given = limited, ahead
        self._least, self._least_given, self._every = _AHEAD * times, _ALL * times, _TAKEN * times
        self.reset()

    def reset(self) -> None:
        """Begins anew, as the model does after `compile`."""
        self._taken = self._unforeseen = self._vain = 0
        self._recorded: set[Hashable] = set()
        self._in_vain = False
        self.expect(None, None)

    def expect(self, epochs: int | None, steps: int | None) -> None:
        """Hears of a call that trains so many epochs of so many steps; None where that is not known."""
        self._coming = epochs * steps if epochs is not None and steps is not None else None
        self._short = 0 if epochs is None or steps == 1 else epochs  # batches: the last of an epoch may be another kind
        self._here = self._made_at = 0
        self._in_vain = self._in_vain and not self._earned()
        self._seen: Counter[Hashable] = Counter()

    def note(self, kind: Hashable, *, training: bool, steps: int = 1) -> None:
        """Counts steps that are being taken, by Keras or recorded."""
        self._taken += steps
        self._here += steps if training else 0
        self._seen[kind] += steps

    def changed(self) -> None:
        """Hears that the recordings had to be thrown away; what happens to new ones may happen again."""
        if 0 < self._here < self._made_at + self._least:  # not what was done between two calls
            self._in_vain = True
            self._vain += 1

    def spend(self, kind: Hashable, *, training: bool) -> None:
        """Hears that a recording is made."""
        self._recorded.add(kind)
        self._unforeseen += self._future(kind, training) < self._least
        self._made_at = self._here

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
            return f"it is not known how many more come; one kind of batches is recorded every {self._every:,} steps"
        return f"fewer than {self._least:,} more of these batches are to be expected, so that recording does not pay"

    def _reason_by_number(self, kind: Hashable, paid: int) -> str | None:
        """Returns why not, where the steps ahead pay for so many recordings that come to nothing."""
        if paid == 0:
            return f"fewer than {self._least_given:,} steps are ahead, so that no recording pays"
        if self._vain >= paid:
            return "what is recorded changes too often for the steps ahead"
        if kind is not None and kind not in self._recorded and len(self._recorded) >= _STANDARD + paid - 1:
            return f"batches of {len(self._recorded)} kinds are recorded; for more there are too few steps ahead"
        return None

    def _earned(self) -> bool:
        """Whether the steps taken so far make one more recording a tenth of their time at most."""
        return self._taken // self._every > self._unforeseen + self._vain

    def _future(self, kind: Hashable, training: bool) -> int:
        """How many batches of a kind are still to come, by how many came; of the first one by what `fit` says."""
        if self._coming is None or self._in_vain:
            return 0
        left = self._coming - self._here
        future = self._seen[kind] * left // self._here if self._here else left * training
        if training:
            future = min(future, left - self._short)
        return future
