"""One line a trial on standard error: how it ended, the best so far, the time left."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console

from kmodels.durations import spoken

__all__ = ["Progress"]


class Progress:
    """Stands where an oracle of KerasTuner has its display.

    Args:
        oracle: whose trials are shown.
    """

    def __init__(self, oracle: Any) -> None:
        self.verbose = 1
        self._oracle = oracle
        self._console = Console(stderr=True)
        self._ended = 0
        self._began = time.monotonic()

    def get_state(self) -> dict[str, Any]:
        """Returns nothing: what is shown depends on the trials alone."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes nothing back."""

    def on_trial_begin(self, trial: Any) -> None:
        """Called by the oracle."""

    def on_trial_end(self, trial: Any) -> None:
        """Called by the oracle when a trial has ended, well or not."""
        self._ended += 1
        if not self.verbose:
            return
        oracle = self._oracle
        ended, expected = len(oracle.end_order), oracle.expected_trials()
        of = f"/{expected}" if expected else ""
        parts = [f"[{ended}{of}] trial {trial.trial_id}: {_said(trial, oracle.objective.name)}"]
        done = [other for other in oracle.get_best_trials() if other.score is not None]
        if done:
            parts.append(f"best {done[0].score:.4f} (trial {done[0].trial_id})")
        if expected and ended < expected:
            seconds = (time.monotonic() - self._began) / self._ended * (expected - ended)
            parts.append(f"about {spoken(seconds)} left")
        self._console.print(" · ".join(parts), markup=False, highlight=False, soft_wrap=True)


def _said(trial: Any, objective: str) -> str:
    if trial.score is None:
        cause = (trial.message or "no cause was given").strip().splitlines()[-1]
        return f"{trial.status.lower()}: {cause}"
    return f"{objective} {trial.score:.4f}"
