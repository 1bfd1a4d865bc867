"""KerasTuner's four oracles, with a state on disk that is whole after every step.

KerasTuner writes one file a trial and one for the oracle, in place and one after the other, and reads both back: killed
between two of them it counts a trial that it never ran, or runs one twice. Here only the oracle's file is read back. It
holds everything and is replaced as a whole, when a step (a trial begun, a trial ended) is complete.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.src.engine import metrics_tracking
from keras_tuner.src.engine import trial as trial_module
from sklearn.exceptions import ConvergenceWarning

from kmodels.atomic_file import write_json
from kmodels.models.initial_weights import generator
from kmodels.tuner.progress import Progress

__all__ = ["BayesianOptimizationOracle", "GridSearchOracle", "HyperbandOracle", "RandomSearchOracle"]


class _WholeState(keras_tuner.Oracle):
    """What the four oracles share; comes before KerasTuner's class in the order of resolution."""

    def __init__(self, *, seed: int, max_consecutive_failed_trials: int | None = None, **options: Any) -> None:
        self._steps = 0  # how many steps are under way, one inside the other
        # KerasTuner takes seed 0 for none and draws one; and it ends a search after three failures in a row
        failures = max_consecutive_failed_trials or sys.maxsize
        super().__init__(seed=seed + 1, max_consecutive_failed_trials=failures, **options)
        self._display = Progress(self)

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def create_trial(self, tuner_id: str) -> Any:
        with self._step():
            return super().create_trial(tuner_id)

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def end_trial(self, trial: Any) -> None:
        if not trial.message:  # KerasTuner's network protocol leaves it out; a worker writes it beside its folds
            cause = Path(self._get_trial_dir(trial.trial_id)) / "cause.txt"
            failed = trial.status in (trial_module.TrialStatus.FAILED, trial_module.TrialStatus.INVALID)
            trial.message = cause.read_text(encoding="utf-8") if failed and cause.exists() else None
        with self._step():
            super().end_trial(trial)

    @contextmanager
    def _step(self) -> Iterator[None]:
        self._steps += 1
        try:
            yield
        finally:
            self._steps -= 1
        if not self._steps:
            self.save()

    def save(self) -> None:
        if not self._steps:
            write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        """For people and for other programs: it is never read back here."""
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def get_state(self) -> dict[str, Any]:
        trials = {name: trial.get_state() for name, trial in self.trials.items()}
        return {**super().get_state(), "trials": trials, "objective": self.objective.name, "direction": self._direction}

    @property
    def _direction(self) -> str:
        return str(self.objective.direction)

    def set_state(self, state: dict[str, Any]) -> None:
        self.trials = {name: trial_module.Trial.from_state(values) for name, values in state["trials"].items()}
        super().set_state(state)

    def reload(self) -> None:
        path = Path(self._get_oracle_fname())
        self.set_state(json.loads(path.read_text(encoding="utf-8")))
        for trial in self.ongoing_trials.values():
            trial.metrics = metrics_tracking.MetricsTracker()  # reported, but not ended: it will report again
            self._retry_queue.append(trial.trial_id)
        self.ongoing_trials: dict[str, Any] = {}

    def expected_trials(self) -> int | None:
        """Returns how many trials the search will have, as far as is known; fewer where the space is exhausted."""
        limit: int | None = self.max_trials
        return limit


class RandomSearchOracle(_WholeState, keras_tuner.oracles.RandomSearchOracle):
    """Draws every hyper-parameter at random; never the same values twice."""


class BayesianOptimizationOracle(_WholeState, keras_tuner.oracles.BayesianOptimizationOracle):
    """Fits a Gaussian process to the scores so far and asks where the next trial promises most."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values of the next trial; called by `create_trial`."""
        # KerasTuner's generator runs on from trial to trial and is not saved: after a restart it would begin anew
        self._random_state = np.random.RandomState(int(generator(self.seed, trial_id).integers(2**32)))
        with warnings.catch_warnings():
            # of the Gaussian process's length scale, which nobody but the fit itself could choose
            warnings.simplefilter("ignore", ConvergenceWarning)
            values: dict[str, Any] = super().populate_space(trial_id)
        return values


class HyperbandOracle(_WholeState, keras_tuner.oracles.HyperbandOracle):
    """Trains many for few epochs and the best of them for more."""

    def expected_trials(self) -> int | None:
        """Returns the sizes of all rounds of all brackets, added."""
        if math.isinf(self.hyperband_iterations):
            return None
        brackets = range(self._get_num_brackets())
        sizes = [self._get_size(b, r) for b in brackets for r in range(self._get_num_rounds(b))]
        return int(sum(sizes) * self.hyperband_iterations)


class GridSearchOracle(_WholeState, keras_tuner.oracles.GridSearchOracle):
    """Goes through every combination, in order; the order survives a restart."""

    def get_state(self) -> dict[str, Any]:
        """Returns what is written, the order of the combinations included."""
        order = self._ordered_ids
        following = [[index, after] for index, after in order._next_index.items() if after is not None]
        grid = {"memory": order._memory, "following": following, "last": order._last_index}
        return {**super().get_state(), "grid": grid, "populate_next": self._populate_next}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes back what was written."""
        super().set_state(state)
        order, grid = self._ordered_ids, state["grid"]
        order._memory, order._last_index = list(grid["memory"]), grid["last"]
        order._data_to_index = {name: index for index, name in enumerate(order._memory)}
        order._next_index.clear()
        order._next_index.update({index: after for index, after in grid["following"]})
        self._populate_next = list(state["populate_next"])

    def expected_trials(self) -> int | None:
        """Returns the number of combinations where no hyper-parameter depends on another."""
        space = self.hyperparameters.space
        if any(hp.conditions for hp in space):
            return super().expected_trials()
        combinations = math.prod(len(list(hp.values)) for hp in space)
        return min(combinations, self.max_trials or combinations)
