"""Hyper-parameter search with cross-validation: KerasTuner's four tuners for a plain `build(hp)` and arrays.

Needs KerasTuner: `pip install kmodels[tuner]`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras
import keras_tuner

from kmodels.tuner.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    RandomSearchOracle,
)
from kmodels.tuner.plots import write_search_figures
from kmodels.tuner.stages import Candidate, Winner, compare_best, train_winner
from kmodels.tuner.table import to_csv, to_terminal, trial_table
from kmodels.tuner.trial import CrossValidated, objective_of
from kmodels.tuner.trials import Search, SearchFailed, TrialResult, read_search

__all__ = ["BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch"]
__all__ += ["Search", "SearchFailed", "TrialResult", "read_search"]
__all__ += ["Candidate", "Winner", "compare_best", "train_winner"]
__all__ += ["to_csv", "to_terminal", "trial_table", "write_search_figures"]

Build = Callable[[Any], keras.Model]


class _Tuner(CrossValidated):
    """The arguments that all four tuners take; each adds those of its oracle, under KerasTuner's names.

    Args:
        build: `build(hp)`, returns a new compiled `keras.Model` and asks `hp` for its hyper-parameters.
        objective: metric of the held-out part that is searched by, such as `accuracy`, `val_accuracy` (the same) or
            `loss`; a `keras_tuner.Objective` where the name does not tell the direction.
        folds: number of parts K, each scored once; 1 for a single hold-out of `validation_fraction`.
        validation_fraction: share held out where `folds` is 1, in (0, 1).
        inner_fraction: share of each training part that chooses the epoch; 0 scores the last epoch.
        stratify: keep the classes' shares in all parts.
        initial_weights: `seeded` or `build`, see `kmodels.cross_validate`.
        executions_per_trial: seeds that every fold is trained with: `seed`, `seed + 1`, …
        seed: of the trials, the division and the first training, an integer from 0.
        directory: where the folder of the search is made.
        project_name: its name. Called again with the same arguments, the search goes on where it was.
        overwrite: delete what is in that folder and begin anew.
        **options: further ones of KerasTuner's oracle: `hyperparameters`, `tune_new_entries`, `allow_new_entries`,
            `max_retries_per_trial`, `max_consecutive_failed_trials` (None, the default here, for any number).

    Raises:
        ValueError: an argument is outside its range.
    """

    _oracle: Any

    def __init__(
        self,
        build: Build,
        objective: str | keras_tuner.Objective,
        own: dict[str, Any],
        *,
        folds: int = 5,
        validation_fraction: float = 0.2,
        inner_fraction: float = 0.0,
        stratify: bool = True,
        initial_weights: Literal["seeded", "build"] = "seeded",
        executions_per_trial: int = 1,
        seed: int = 0,
        directory: str | Path = ".",
        project_name: str,
        overwrite: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            self._oracle(objective=objective_of(objective), seed=seed, **own, **options),
            build,
            folds=folds,
            validation_fraction=validation_fraction,
            inner_fraction=inner_fraction,
            stratify=stratify,
            initial_weights=initial_weights,
            executions_per_trial=executions_per_trial,
            seed=seed,
            directory=directory,
            project_name=project_name,
            overwrite=overwrite,
        )


class RandomSearch(_Tuner):
    """Draws hyper-parameters at random.

    Args:
        build: `build(hp)`, see `_Tuner` for this and what follows.
        objective: what is searched by.
        max_trials: number of trials, 1 or more.
        **common: what all four tuners take.

    Example:
        >>> import keras, numpy as np, tempfile
        >>> def build(hp):
        ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        ...     loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ...     model.compile(keras.optimizers.SGD(hp.Choice("rate", [1e-6, 0.5])), loss, metrics=["accuracy"])
        ...     return model
        >>> y = np.arange(40) % 2
        >>> x = np.stack([y, 1 - y], axis=1).astype("float32")
        >>> tuner = RandomSearch(build, "accuracy", max_trials=2, folds=2, directory=tempfile.mkdtemp(),
        ...                      project_name="example")
        >>> found = tuner.search(x, y, epochs=8, batch_size=2, verbose=False)
        >>> found.best()[0].hyperparameters, found.best()[0].mean
        ({'rate': 0.5}, 1.0)
    """

    _oracle = RandomSearchOracle

    def __init__(
        self, build: Build, objective: str | keras_tuner.Objective, *, max_trials: int = 10, **common: Any
    ) -> None:
        super().__init__(build, objective, {"max_trials": max_trials}, **common)


class BayesianOptimization(_Tuner):
    """Draws the first trials at random and the others where a Gaussian process of the scores promises most.

    Args:
        build: `build(hp)`, see `_Tuner` for this and what follows.
        objective: what is searched by.
        max_trials: number of trials, 1 or more.
        num_initial_points: trials drawn at random; None for three a hyper-parameter.
        alpha: variance of the scores' noise that the process assumes.
        beta: how much uncertainty attracts; larger explores more.
        **common: what all four tuners take.
    """

    _oracle = BayesianOptimizationOracle

    def __init__(
        self,
        build: Build,
        objective: str | keras_tuner.Objective,
        *,
        max_trials: int = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        **common: Any,
    ) -> None:
        own = {"max_trials": max_trials, "num_initial_points": num_initial_points, "alpha": alpha, "beta": beta}
        super().__init__(build, objective, own, **common)


class Hyperband(_Tuner):
    """Trains many trials for few epochs and lets the best go on, each fold from where it stopped.

    The state of each training is kept, optimizer, learning-rate schedule and dropout included, so a promoted trial is
    the one that it would be had it been trained at once.

    Args:
        build: `build(hp)`, see `_Tuner` for this and what follows.
        objective: what is searched by.
        max_epochs: epochs that the longest trials are trained.
        factor: epochs grow and trials are fewer by this factor from round to round, 2 or more.
        hyperband_iterations: how often the whole algorithm is repeated.
        **common: what all four tuners take.

    Reference:
        L. Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, 2018.
    """

    _oracle = HyperbandOracle
    _epochs_come_from_the_oracle = True

    def __init__(
        self,
        build: Build,
        objective: str | keras_tuner.Objective,
        *,
        max_epochs: int = 27,
        factor: int = 3,
        hyperband_iterations: int = 1,
        **common: Any,
    ) -> None:
        own = {"max_epochs": max_epochs, "factor": factor, "hyperband_iterations": hyperband_iterations}
        super().__init__(build, objective, own, **common)


class GridSearch(_Tuner):
    """Tries every combination.

    Args:
        build: `build(hp)`, see `_Tuner` for this and what follows.
        objective: what is searched by.
        max_trials: at most this many; None for all.
        **common: what all four tuners take.
    """

    _oracle = GridSearchOracle

    def __init__(
        self, build: Build, objective: str | keras_tuner.Objective, *, max_trials: int | None = None, **common: Any
    ) -> None:
        super().__init__(build, objective, {"max_trials": max_trials}, **common)
