"""A search in stages: many trials on a hold-out, the best of them by K folds, the winner once on the test samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmodels.atomic_file import write_json
from kmodels.checks import require
from kmodels.crossval.fold import train_fold
from kmodels.crossval.plan import plan
from kmodels.crossval.result import CrossValidation
from kmodels.crossval.validate import carry_out
from kmodels.tuner.trials import Search, TrialResult

__all__ = ["Candidate", "Winner", "compare_best", "train_winner"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trial of a search, scored again by K folds.

    Attributes:
        trial: the trial, with its score in the search.
        found: its cross-validation.
    """

    trial: TrialResult
    found: CrossValidation


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The last stage.

    Attributes:
        hyperparameters: the winner's.
        test: the metric on the test samples, one value a seed.
        metric: its name.
    """

    hyperparameters: dict[str, Any]
    test: dict[int, float]
    metric: str


def compare_best(
    tuner: Any,
    x: Any,
    y: np.ndarray,
    *,
    top: int = 3,
    folds: int = 5,
    seeds: int | Sequence[int] = 1,
    epochs: int,
    batch_size: int,
) -> tuple[Candidate, ...]:
    """Scores the best trials of a search again by K folds, with a division and seeds that the search has not seen.

    The best of many noisy scores is the best partly by luck; scored anew, the luck is gone. Finished folds are kept in
    the search's folder.

    Args:
        tuner: one of `kmodels.tuner.tuners`, after its `search`.
        x: training samples, as for `search`.
        y: their targets.
        top: how many trials, 1 or more.
        folds: number of parts K.
        seeds: how many seeds, counted on from those of the search, or the seeds themselves.
        epochs: passes over each fold's training part.
        batch_size: samples a step.

    Returns:
        The candidates, best by the new score first.

    Raises:
        ValueError: no trial has a score, or an argument is outside its range.
        FoldFailed: a training failed.
    """
    search: Search = tuner.results()
    best = search.best(top)
    require(top >= 1 and bool(best), "top", "1 or more, of a search with scores", top)
    used = tuner.planning["seeds"]
    chosen = tuple(range(max(used) + 1, max(used) + 1 + seeds)) if isinstance(seeds, int) else tuple(seeds)
    metric = search.objective.removeprefix("val_")
    planned = plan(
        x,
        y,
        epochs=epochs,
        batch_size=batch_size,
        metric=metric,
        direction=search.direction,  # type: ignore[arg-type]
        **{**tuner.planning, "folds": folds, "seeds": chosen, "split_seed": chosen[0]},
    )
    candidates = []
    for trial in best:
        build = build_of(tuner, trial)
        identity = json.dumps(dict(trial.hyperparameters), sort_keys=True, default=str)
        home = Path(tuner.project_dir) / "stage2"
        candidates.append(Candidate(trial=trial, found=carry_out(planned, build, x, y, folder=home, identity=identity)))
    sign = -1 if search.direction == "max" else 1
    return tuple(sorted(candidates, key=lambda candidate: sign * candidate.found.mean))


def train_winner(
    tuner: Any,
    candidate: Candidate,
    x: Any,
    y: np.ndarray,
    open_test: Callable[[], tuple[Any, np.ndarray]],
    *,
    epochs: int,
    batch_size: int,
) -> Winner:
    """Trains the winner on all training samples and scores it on the test samples, which are opened here, once.

    Args:
        tuner: the tuner of the search.
        candidate: the winner, of `compare_best`.
        x: training samples.
        y: their targets.
        open_test: returns the test samples and targets; called once and only after the answer could not change any
            choice. With `kmodels.data`: `lambda: dataset.open_test("the winner of the search", log=print)`.
        epochs: passes over the training samples.
        batch_size: samples a step.

    Returns:
        The test score of every seed that the candidate was scored with.

    Raises:
        ValueError: the test was opened before for another winner: a second look would be a choice.
    """
    path = Path(tuner.project_dir) / "test.json"
    own = dict(candidate.trial.hyperparameters)
    how = {"hyperparameters": own, "epochs": epochs, "batch_size": batch_size, "seeds": list(candidate.found.seeds)}
    metric, search = candidate.found.metric, tuner.results()
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        same = before["how"] == json.loads(json.dumps(how, default=str))
        require(same, "candidate", f"the one that the test was opened for, {before['how']}", how)
        if before["test"]:
            return Winner(hyperparameters=own, test={int(s): v for s, v in before["test"].items()}, metric=metric)
    write_json(path, {"how": how, "test": {}})  # from here on there is no other winner
    x_test, y_test = open_test()
    samples, held = len(y), len(y_test)
    both_x = keras.tree.map_structure(lambda a, b: np.concatenate([a, b]), x, x_test)
    both_y = np.concatenate([y, y_test])
    parts = (np.arange(samples), np.arange(samples, samples + held))
    planned = plan(
        x,
        y,
        epochs=epochs,
        batch_size=batch_size,
        metric=metric,
        direction=search.direction,
        **{**tuner.planning, "folds": 1, "seeds": candidate.found.seeds},
    )
    scores = {}
    for seed in candidate.found.seeds:
        score, _ = train_fold(
            build_of(tuner, candidate.trial), both_x, both_y, parts, planned.training, seed=seed, fold=0
        )
        scores[seed] = score.value
    write_json(path, {"how": how, "test": scores})
    return Winner(hyperparameters=own, test=scores, metric=metric)


def build_of(tuner: Any, trial: TrialResult) -> Callable[[], Any]:
    """Returns a function that builds the model of a trial."""
    hp = tuner.oracle.get_trial(trial.name).hyperparameters

    def build() -> Any:
        return tuner.hypermodel.build(hp)

    return build
