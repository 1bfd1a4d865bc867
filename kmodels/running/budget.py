"""A limit on the time of one call: a run that would not end within it is not begun."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from kmodels.results.runs import Run
from kmodels.running.estimates import Speeds
from kmodels.spec.tasks import Task

__all__ = ["Budget"]


class Budget:
    """Says whether runs may still begin; what has finished makes its estimates better.

    Args:
        seconds: how long the call may take, counted from `began`; None for no limit.
        speeds: what is known of this machine.
        clock: returns seconds.
        began: what the clock said when the call began; None for now.

    Attributes:
        speeds: what is known by now.
    """

    def __init__(
        self,
        seconds: float | None,
        speeds: Speeds,
        *,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ) -> None:
        self.speeds = speeds
        self._clock = clock
        self._end = math.inf if seconds is None else (clock() if began is None else began) + seconds

    def fits(self, tasks: Sequence[Task]) -> bool:
        """Returns whether tasks that are trained one after the other, or at once, would end in time."""
        return (
            self._end == math.inf
            or self._clock() + sum(self.speeds.estimate(task.recipe).seconds for task in tasks) <= self._end
        )

    def learn(self, run: Run) -> None:
        """Takes a finished run into account."""
        self.speeds = self.speeds.with_run(run)
