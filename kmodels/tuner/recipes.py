"""Searches over recipes: what the experiments train, with their data, augmentation and speed, by the same tuners.

The space is a function from `hp` to changes of a recipe; the recipe's own split says what a trial is scored on.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kmodels.atomic_file import write_atomically, write_json
from kmodels.checks import require
from kmodels.crossval.folder import finish_folds
from kmodels.crossval.result import CrossValidation, FoldScore
from kmodels.data import Dataset
from kmodels.results.provenance import made_with
from kmodels.results.runs import REVISION
from kmodels.spec.experiment import Recipe, Split
from kmodels.spec.tasks import Task
from kmodels.training.train import train
from kmodels.tuner.trials import Search

__all__ = [
    "Leg",
    "RecipeCandidate",
    "compare_recipes",
    "cross_validate_recipe",
    "score_winner",
    "search_recipes",
    "without_test",
]

Space = Callable[[Any], Mapping[str, Any]]


def without_test(dataset: Dataset) -> Dataset:
    """Returns a data set whose test part is one training image: nothing that is given it can reach the real one."""
    return dataclasses.replace(dataset, _x_test=dataset.x_train[:1], _y_test=dataset.y_train[:1])


def search_recipes(tuner: Any, base: Recipe, dataset: Dataset, *, verbose: bool = True) -> Search:
    """Runs the missing trials of a search over recipes.

    Args:
        tuner: a tuner of `kmodels.tuner`, made with the space in the place of `build`: a function from `hp` to changes
            of `base`. Its objective is `val_accuracy` or `val_loss`; `executions_per_trial` and `seed` say the seeds,
            the recipe's split the folds. Hyperband's `max_epochs` are the recipe's: a trial that is not promoted is
            the beginning of the whole training, schedule included, and one that is goes on from there.
        base: what the space changes; what it would `observe` is left out, as a search keeps scores alone.
        dataset: what `base.dataset` names; its test part cannot be reached from a trial.
        verbose: a line for each trial on standard error.

    Raises:
        ValueError: the split is the test set itself, the recipe keeps another epoch than the last, the objective is
            another one, or Hyperband's epochs are not the recipe's.
        SearchFailed: every trial failed.

    Example:
        >>> import tempfile
        >>> from kmodels import Recipe, Split, data
        >>> from kmodels.tuner.tuners import GridSearch
        >>> base = Recipe(model="lenet", model_args={"dropout": 0.0}, dataset="digits", image_size=32, epochs=1,
        ...               batch_size=64, learning_rate=1e-3, split=Split(kind="holdout", validation_fraction=0.5))
        >>> tuner = GridSearch(lambda hp: {"dropout": hp.Choice("dropout", [0.0, 0.5])}, "val_accuracy",
        ...                    directory=tempfile.mkdtemp(), project_name="example")
        >>> digits = data.load("digits", report=lambda line: None)
        >>> len(search_recipes(tuner, base, digits, verbose=False).trials)
        2
    """
    require(base.split.kind != "test", "split", "a part of the training images, not the test set", base.split.kind)
    _require_scorable(base)
    base = base.change(observe=())
    objective = tuner.oracle.objective.name
    require(objective in ("val_accuracy", "val_loss"), "objective", "'val_accuracy' or 'val_loss'", objective)
    by_rounds = type(tuner).__name__ == "Hyperband"
    if by_rounds:
        _require_epochs(base, tuner.oracle.max_epochs)
    seeds = list(tuner.planning["seeds"])
    how = {"data": dataset.digest, "seeds": seeds, "base": base.as_dict(), "revision": REVISION}
    guarded = without_test(dataset)

    def evaluate(trial: Any) -> CrossValidation:
        recipe = base.change(**tuner.hypermodel.build(trial.hyperparameters))
        require(recipe.split.kind != "test", "split", "a part of the training images", recipe.split.kind)
        folder = tuner.folds_folder(trial.trial_id)
        leg = None
        if by_rounds:
            _require_epochs(recipe, tuner.oracle.max_epochs)
            values = trial.hyperparameters.values
            goes_on = values["tuner/initial_epoch"] > 0
            leg = Leg(values["tuner/epochs"], tuner.folds_folder(values["tuner/trial_id"]) if goes_on else None)
        return cross_validate_recipe(recipe, guarded, seeds=seeds, folder=folder, metric=objective, leg=leg)

    found: Search = tuner.search_with(how, evaluate, verbose=verbose)
    return found


def _require_epochs(recipe: Recipe, most: int) -> None:
    require(recipe.total_epochs == most, "max_epochs", f"{recipe.total_epochs}, the recipe's epochs", most)
    require(recipe.patience is None, "patience", "None under Hyperband, which ends trainings itself", recipe.patience)


@dataclass(frozen=True)
class Leg:
    """A part of a training, from its beginning or from where another trial left it.

    Attributes:
        epochs: epochs done when it ends, counted from the training's beginning.
        after: the folder of folds that it goes on from; None for the beginning.
    """

    epochs: int
    after: Path | None = None


def cross_validate_recipe(
    recipe: Recipe,
    dataset: Dataset,
    *,
    seeds: Sequence[int],
    folder: Path,
    metric: str = "val_accuracy",
    leg: Leg | None = None,
) -> CrossValidation:
    """Trains every fold of a recipe's split with every seed, and keeps what is finished.

    Args:
        recipe: what to train; what it would `observe` is left out, as scores alone are kept.
        dataset: what on; see `without_test`.
        seeds: one training each a fold.
        folder: where finished folds are kept, and the state of a long one that is interrupted.
        metric: `val_accuracy` or `val_loss`, after the last epoch.
        leg: train only this part of it, and keep the state for the next; None for all of it.

    Raises:
        ValueError: the recipe keeps another epoch than the last, or tests in other ways than the standard one.
        FoldFailed: a training failed or diverged.
        OSError: a file cannot be written.
    """
    _require_scorable(recipe)
    recipe = recipe.change(observe=())

    def state_of(home: Path, seed: int, fold: int) -> Path:
        return home / f"{_name(recipe, dataset, seed, fold, metric)}.checkpoint"

    def train_one(seed: int, fold: int, _: str) -> FoldScore:
        state = state_of(folder, seed, fold)
        if leg is not None and leg.after is not None and not state.exists():
            write_atomically(state, state_of(leg.after, seed, fold).read_bytes())
        try:
            return _train(recipe, dataset, seed, fold, metric, state, until=None if leg is None else leg.epochs)
        finally:
            keras.utils.clear_session()

    numbered = [(seed, fold) for seed in seeds for fold in range(recipe.split.folds)]
    ending = "" if leg is None else f"_epochs{leg.epochs}"
    wanted = ((seed, fold, _name(recipe, dataset, seed, fold, metric) + ending) for seed, fold in numbered)
    return finish_folds(wanted, train_one, metric=metric, folder=folder)


def _require_scorable(recipe: Recipe) -> None:
    expected = "'last' in a search: an epoch chosen by the images that score it scores too well"
    require(recipe.keep == "last", "keep", expected, recipe.keep)
    require(recipe.testing == "standard", "testing", "'standard' in a search, which has no test images", recipe.testing)
    apart = "'jointly' in a search, which follows one training a fold"
    require(recipe.train_members == "jointly", "train_members", apart, recipe.train_members)


def _train(
    recipe: Recipe, dataset: Dataset, seed: int, fold: int, metric: str, checkpoint: Path, until: int | None
) -> FoldScore:
    task = Task(experiment="search", cell="trial", protocol="report", recipe=recipe, seed=seed, fold=fold)
    run = train(task, dataset, checkpoint=checkpoint, until=until)
    if run.diverged:
        raise FloatingPointError(run.diverged)
    value = run.scores["validation_accuracy"] if metric == "val_accuracy" else run.scores["validation_loss"]
    return FoldScore(
        seed=seed,
        fold=fold,
        value=float(value),
        epoch=until or recipe.total_epochs,
        epochs=until or recipe.total_epochs,
        train_loss=tuple(run.curves["loss"]),
        train_samples=run.data["train_images"],
        held_samples=run.data["validation_images"],
        seconds=round(sum(run.seconds.values()), 3),
        made_with=made_with(run),
    )


def _name(recipe: Recipe, dataset: Dataset, seed: int, fold: int, metric: str) -> str:
    key = [recipe.as_dict(), dataset.digest, seed, fold, metric, keras.backend.backend(), REVISION]
    return f"seed{seed}_fold{fold}_{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]}"


@dataclass(frozen=True, kw_only=True)
class RecipeCandidate:
    """A recipe with what it came to by K folds.

    Attributes:
        name: such as `trial 3`, or a name that was given.
        recipe: the recipe.
        found: its cross-validation.
    """

    name: str
    recipe: Recipe
    found: CrossValidation


def compare_recipes(
    tuner: Any,
    base: Recipe,
    dataset: Dataset,
    split: Split,
    *,
    top: int,
    seeds: int,
    further: Mapping[str, Mapping[str, Any]],
) -> tuple[RecipeCandidate, ...]:
    """Scores the best trials again by another split and other seeds, and given recipes beside them.

    Args:
        tuner: the tuner of the search.
        base: as for `search_recipes`.
        dataset: as there.
        split: such as 10 folds.
        top: how many of the best trials, 1 or more.
        seeds: how many seeds, counted on from those of the search.
        further: name -> changes of `base` to be scored as well, such as what a report chose.

    Returns:
        The candidates, best first.
    """
    search: Search = tuner.results()
    first = max(tuner.planning["seeds"]) + 1
    chosen = {
        f"trial {trial.name}": base.change(**tuner.hypermodel.build(tuner.oracle.get_trial(trial.name).hyperparameters))
        for trial in search.best(top)
    }
    chosen |= {name: base.change(**changes) for name, changes in further.items()}
    score = functools.partial(
        cross_validate_recipe,
        dataset=without_test(dataset),
        seeds=range(first, first + seeds),
        folder=Path(tuner.project_dir) / "stage2",
        metric=search.objective,
    )
    candidates = [
        RecipeCandidate(name=name, recipe=recipe, found=score(recipe.change(split=split)))
        for name, recipe in chosen.items()
    ]
    sign = -1 if search.direction == "max" else 1
    return tuple(sorted(candidates, key=lambda candidate: sign * candidate.found.mean))


def score_winner(tuner: Any, winner: RecipeCandidate, dataset: Dataset) -> dict[int, float]:
    """Trains the winner on all training images but one and opens the test set, for this winner only.

    A recipe always holds something out; here it is one image, which nothing is decided by.

    Returns:
        Test accuracy of each seed, in [0, 1].

    Raises:
        ValueError: the test set was opened before for another recipe.
        FloatingPointError: the winner diverged.
    """
    path = Path(tuner.project_dir) / "test.json"
    one = Split(kind="holdout", validation_fraction=1 / len(dataset.y_train))
    recipe = winner.recipe.change(split=one)
    how = json.loads(json.dumps({"recipe": recipe.as_dict(), "seeds": list(winner.found.seeds)}))
    scores: dict[str, float] = {}
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        require(before["how"] == how, "winner", "the one that the test was opened for", winner.name)
        scores = before["test"]
    write_json(path, {"how": how, "test": scores})  # from here on there is no other winner
    for seed in winner.found.seeds:
        if str(seed) not in scores:
            task = Task(experiment="search", cell="winner", protocol="report", recipe=recipe, seed=seed, fold=0)
            run = train(task, dataset, checkpoint=path.with_name(f"winner-{seed}.state"))
            if run.diverged:
                raise FloatingPointError(f"the winner {winner.name} diverged with seed {seed}: {run.diverged}")
            scores[str(seed)] = run.scores["test_accuracy"]
            write_json(path, {"how": how, "test": scores})
    return {int(seed): score for seed, score in scores.items()}
