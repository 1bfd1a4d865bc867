"""How a trial of any of the four tuners is run: cross-validation on the training samples, and nothing else in reach."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine import base_tuner
from keras_tuner.src.distribute import utils as roles

from kmodels.atomic_file import write_atomically, write_json
from kmodels.checks import require
from kmodels.crossval.fold import forgotten_models
from kmodels.crossval.plan import Plan, direction_of, plan
from kmodels.crossval.result import CrossValidation
from kmodels.crossval.validate import Callbacks, carry_out
from kmodels.tuner.trials import Search, read_search, reported_metrics

__all__ = ["CrossValidated", "objective_of"]


def objective_of(objective: str | keras_tuner.Objective) -> keras_tuner.Objective:
    """Returns an objective with its direction; `val_accuracy` and `accuracy` are both the score of the held-out part.

    Raises:
        ValueError: the direction is not told by the name.
    """
    if isinstance(objective, keras_tuner.Objective):
        return objective
    return keras_tuner.Objective(objective, direction_of(objective))


class CrossValidated(base_tuner.BaseTuner):
    """What all four tuners share."""

    _epochs_come_from_the_oracle = False

    def __init__(
        self,
        oracle: Any,
        build: Callable[[Any], keras.Model],
        *,
        folds: int,
        validation_fraction: float,
        inner_fraction: float,
        stratify: bool,
        initial_weights: Literal["seeded", "build"],
        executions_per_trial: int,
        seed: int,
        directory: str | Path,
        project_name: str,
        overwrite: bool,
    ) -> None:
        require(type(seed) is int and 0 <= seed < 2**32, "seed", "an integer from 0, below 2**32", seed)
        require(
            type(executions_per_trial) is int and executions_per_trial >= 1,
            "executions_per_trial",
            "an integer, 1 or more",
            executions_per_trial,
        )
        self._planning: dict[str, Any] = {
            "folds": folds,
            "validation_fraction": validation_fraction,
            "inner_fraction": inner_fraction,
            "stratify": stratify,
            "initial_weights": initial_weights,
            "seeds": tuple(range(seed, seed + executions_per_trial)),
            "split_seed": seed,
        }
        self._evaluate: Callable[[Any], CrossValidation] | None = None
        super().__init__(
            oracle,
            build,
            directory=str(directory),
            project_name=project_name,
            overwrite=overwrite and self.role != "worker",  # the chief has begun anew already
        )

    def search(
        self,
        x: Any,
        y: np.ndarray,
        *,
        epochs: int | None = None,
        batch_size: int,
        callbacks: Callbacks | None = None,
        tensorboard: str | Path | None = None,
        verbose: bool = True,
    ) -> Search:
        """Runs the trials that are missing.

        Args:
            x: training samples: an array of shape `(samples, ...)` or a nest of such arrays. Test samples have no place
                here, and there is no argument for validation data: the folds are made of x and y.
            y: targets, of shape `(samples, ...)`.
            epochs: passes over each fold's training part; not for Hyperband, which has its own `max_epochs`.
            batch_size: samples a step, 1 or more.
            callbacks: called with seed and fold for every training, returns new Keras callbacks.
            tensorboard: folder for TensorBoard's logs, one below it for each trial, seed and fold; needs the packages
                tensorboard and tensorflow.
            verbose: a line for each trial on standard error.

        Returns:
            All trials; for a worker of a distributed search those that its chief had written when it ended.

        Raises:
            ValueError: an argument is outside its range, or the folder holds a search with other settings.
            SearchFailed: every trial failed.
            OSError: the folder cannot be written to.
        """
        given = self._epochs_come_from_the_oracle
        require(given == (epochs is None), "epochs", "None for Hyperband, else an integer, 1 or more", epochs)
        objective = self.oracle.objective
        planned = plan(
            x,
            y,
            epochs=epochs or 1,
            batch_size=batch_size,
            metric=objective.name.removeprefix("val_"),
            direction=objective.direction,
            **self._planning,
        )
        how = {
            "data": planned.digest,
            "seeds": list(planned.seeds),
            "training": dataclasses.asdict(planned.training),
        }
        logs = None if tensorboard is None else Path(tensorboard)
        evaluate = functools.partial(self._cross_validate, x, y, planned, callbacks, logs)
        return self.search_with(how, evaluate, verbose=verbose)

    def search_with(
        self, how: dict[str, Any], evaluate: Callable[[Any], CrossValidation], *, verbose: bool = True
    ) -> Search:
        """Runs the missing trials, each scored by a function; `search` and `kmodels.tuner.recipes` call this.

        Args:
            how: JSON-ready settings and data that every trial of this search shares.
            evaluate: scores a trial of KerasTuner.
            verbose: a line for each trial on standard error.

        Returns:
            As `search`.

        Raises:
            ValueError: the folder holds a search with other settings.
            SearchFailed: every trial failed.
        """
        self._same_search(how)
        self._evaluate = evaluate
        try:
            if self.role != "worker":
                self.oracle.verbose = verbose
            if self.role == "chief":
                from kmodels.tuner.workers import serve

                self.save()
                serve(self.oracle)
            else:
                super().search()
        finally:
            self._evaluate = None
        if self.role == "alone":
            self.save()  # a search of no trials has a table, too
        found = self.results()
        if self.role != "worker":
            found.check()
        return found

    def results(self) -> Search:
        """Returns the trials so far, best ones with their rank.

        Raises:
            OSError: nothing was searched yet.
        """
        return read_search(self.project_dir)

    @property
    def role(self) -> Literal["alone", "chief", "worker"]:
        """What this process is in the search; a worker has nothing to do after `search`."""
        if not roles.has_chief_oracle():
            return "alone"
        return "chief" if roles.is_chief_oracle() else "worker"

    @property
    def planning(self) -> dict[str, Any]:
        """How samples are divided and models begin: arguments of `kmodels.crossval.plan.plan`."""
        return dict(self._planning)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Scores one choice of hyper-parameters; called by KerasTuner."""
        assert self._evaluate is not None
        found = self._evaluate(trial)
        return reported_metrics(self.oracle.objective.name, found.values, found)

    def _cross_validate(
        self, x: Any, y: np.ndarray, planned: Plan, callbacks: Callbacks | None, logs: Path | None, trial: Any
    ) -> CrossValidation:
        hp = trial.hyperparameters
        with forgotten_models():
            # Hyper-parameters that show only when the model is built belong to the trial, also if its folds are read.
            self.hypermodel.build(hp)
        planned, previous = self._amount(planned, hp.values)
        own = {name: value for name, value in hp.values.items() if not name.startswith("tuner/")}
        if logs is not None:
            callbacks = functools.partial(_with_tensorboard, callbacks, logs / f"trial_{trial.trial_id}")
        return carry_out(
            planned,
            functools.partial(self.hypermodel.build, hp),
            x,
            y,
            folder=self.folds_folder(trial.trial_id),
            identity=json.dumps(own, sort_keys=True, default=str),
            callbacks=callbacks,
            keep_states=self._epochs_come_from_the_oracle,
            go_on_from=None if previous is None else self.folds_folder(previous),
        )

    def _amount(self, planned: Plan, values: dict[str, Any]) -> tuple[Plan, str | None]:
        """What Hyperband asks for: epochs in all, and the trial whose training goes on."""
        if "tuner/epochs" not in values:
            return planned, None
        first = values["tuner/initial_epoch"]
        training = dataclasses.replace(planned.training, epochs=values["tuner/epochs"], initial_epoch=first)
        return dataclasses.replace(planned, training=training), values["tuner/trial_id"] if first else None

    def folds_folder(self, trial_id: str) -> Path:
        """Returns where the finished folds of a trial are kept."""
        return Path(self.get_trial_dir(trial_id)) / "folds"

    def _try_run_and_update_trial(self, trial: Any, *fit_args: Any, **fit_kwargs: Any) -> None:
        super()._try_run_and_update_trial(trial, *fit_args, **fit_kwargs)
        if trial.message and self._is_worker():
            path = Path(self.get_trial_dir(trial.trial_id)) / "cause.txt"
            write_atomically(path, trial.message.encode())

    def _same_search(self, settings: dict[str, Any]) -> None:
        how = {
            **json.loads(json.dumps(settings)),
            "oracle": type(self).__name__,
            "objective": self.oracle.objective.name,
            "backend": keras.backend.backend(),
        }
        path = Path(self.project_dir) / "search.json"
        if not path.exists():
            write_json(path, how)
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(name for name in how if before.get(name) != how[name])
        if changed:
            expected = f"a new one, or overwrite=True: it holds a search with other {', '.join(changed)}"
            raise ValueError(f"project_name: expected {expected}. Received: {str(path.parent)!r}")

    def save(self) -> None:
        """Writes the state of oracle and tuner, each file as a whole."""
        if not self._is_worker():
            self.oracle.save()
        write_json(Path(self._get_tuner_fname()), self.get_state())


def _with_tensorboard(
    callbacks: Callbacks | None, folder: Path, seed: int, fold: int
) -> list[keras.callbacks.Callback]:
    own = list(callbacks(seed, fold)) if callbacks else []
    return [*own, keras.callbacks.TensorBoard(folder / f"seed{seed}_fold{fold}")]
