"""Searches over recipes: the experiments' own training, with the test set out of reach until the very end."""

import dataclasses
import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kmodels import Recipe, Split, data
from kmodels.crossval.result import FoldFailed
from kmodels.data import Dataset
from kmodels.spec.rate import Schedule
from kmodels.spec.tasks import Task
from kmodels.training.train import train
from kmodels.tuner import GridSearch, Hyperband, read_search
from kmodels.tuner import recipes as tuner_recipes
from kmodels.tuner import study as study_module
from kmodels.tuner.recipes import Leg, cross_validate_recipe, search_recipes, without_test
from kmodels.tuner.study import Study, run_command, run_study

ROOT = Path(__file__).resolve().parents[1]
BASE = Recipe(
    model="lenet",
    model_args={"dropout": 0.0},
    dataset="digits",
    image_size=32,
    resize="bilinear",
    train_images=256,
    epochs=2,
    batch_size=32,
    learning_rate=2e-3,
    split=Split(kind="stratified_holdout", validation_fraction=0.2),
)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", report=lambda line: None)


def pretend(task, dataset, **_):
    """As `train`, without training: a score out of the recipe, and the test set opened as there."""
    lines = []
    dataset.open_test("evaluation of the last epoch's weights", lines.append)
    accuracy = 0.5 + 10 * task.recipe.learning_rate + 0.001 * task.fold + 0.002 * task.seed
    return SimpleNamespace(
        diverged="",
        scores={"validation_accuracy": accuracy, "test_accuracy": accuracy - 0.1},
        curves={"loss": [1.0]},
        data={"train_images": 80, "validation_images": 20},
        seconds={"fit": 0.0},
        device="CPU: none",
        threads=1,
        backend="numpy",
        execution="keras",
        versions={"keras": "3.0"},
        commit="",
    )


def space(hp):
    return {"learning_rate": hp.Choice("learning_rate", [2e-3, 1e-5]), "dropout": 0.2}


def study(**changes):
    fields = {
        "name": "lenet",
        "question": "digits",
        "base": BASE,
        "space": space,
        "kind": "GridSearch",
        "options": {},
        "split": Split(kind="kfold", folds=2),
        "top": 1,
        "seeds": 2,
        "further": {"theirs": {"learning_rate": 1e-3}},
        "quick": {"epochs": 1},
        "quick_options": {},
        "quick_split": Split(kind="kfold", folds=2),
    }
    return Study(**{**fields, **changes})


def test_a_trial_is_the_run_of_its_recipe(tmp_path, digits):
    tuner = GridSearch(space, "val_accuracy", seed=5, directory=str(tmp_path), project_name="s")
    found = search_recipes(tuner, BASE, digits, verbose=False)
    assert [trial.hyperparameters["learning_rate"] for trial in found.trials] == [2e-3, 1e-5]
    recipe = BASE.change(learning_rate=2e-3, dropout=0.2)
    task = Task(experiment="s", cell="trial", protocol="report", recipe=recipe, seed=5, fold=0)
    own = train(task, digits)
    assert found.trials[0].values[(5, 0)] == own.scores["validation_accuracy"]
    assert read_search(tmp_path / "s") == found


def test_issue_1018_the_test_set_cannot_be_reached_from_a_trial(tmp_path, digits, monkeypatch):
    given = []

    def spy(task, dataset, **keys):
        given.append(dataset)
        return pretend(task, dataset)

    monkeypatch.setattr(tuner_recipes, "train", spy)
    tuner = GridSearch(space, "val_accuracy", directory=str(tmp_path), project_name="s")
    search_recipes(tuner, BASE, digits, verbose=False)
    lines = []
    for dataset in given:
        x_test, _ = dataset.open_test("what a trial would see", lines.append)
        assert len(x_test) == 1 and np.array_equal(x_test[0], digits.x_train[0])
    assert len(given) == 2
    with pytest.raises(ValueError, match="not the test set"):
        search_recipes(tuner, BASE.change(split=Split(kind="test")), digits)


def test_finished_folds_are_read_and_a_diverged_one_is_a_failure(tmp_path, digits, monkeypatch):
    recipe = BASE.change(split=Split(kind="kfold", folds=2), epochs=1)
    first = cross_validate_recipe(recipe, digits, seeds=[0], folder=tmp_path)
    again = cross_validate_recipe(recipe, digits, seeds=[0], folder=tmp_path)
    assert (first.reused, again.reused) == (0, 2) and first.values == again.values
    monkeypatch.setattr(tuner_recipes, "train", pretend)
    assert cross_validate_recipe(recipe, digits, seeds=[3], folder=tmp_path).reused == 0
    assert cross_validate_recipe(recipe.change(epochs=2), digits, seeds=[0], folder=tmp_path).reused == 0

    def diverging(task, dataset, **keys):
        return SimpleNamespace(**{**vars(pretend(task, dataset)), "diverged": "loss is nan after epoch 1"})

    monkeypatch.setattr(tuner_recipes, "train", diverging)
    with pytest.raises(FoldFailed, match="not finite"):
        cross_validate_recipe(recipe, digits, seeds=[1], folder=tmp_path)


def test_what_a_recipe_cannot_do_is_said(tmp_path, digits):
    def make(kind, objective, name):
        return kind(space, objective, directory=str(tmp_path), project_name=name)

    with pytest.raises(ValueError, match=r"max_epochs: expected 2, the recipe's epochs\. Received"):
        search_recipes(make(Hyperband, "val_accuracy", "a"), BASE, digits)
    with pytest.raises(ValueError, match="objective: expected 'val_accuracy' or 'val_loss'"):
        search_recipes(make(GridSearch, "auc", "b"), BASE, digits)


LONG = BASE.change(
    optimizer="sgd", momentum=0.9, learning_rate=0.05, epochs=3, schedule=Schedule(kind="cosine"), dropout=0.2
)


def test_a_trial_that_hyperband_promotes_is_the_one_that_is_trained_at_once(tmp_path, digits):
    tuner = Hyperband(
        lambda hp: {"learning_rate": hp.Choice("learning_rate", [0.02, 0.05, 0.1])},
        "val_accuracy",
        max_epochs=3,
        factor=3,
        directory=str(tmp_path),
        project_name="rounds",
    )
    found = search_recipes(tuner, LONG, digits, verbose=False)
    promoted = [trial for trial in tuner.oracle.trials.values() if trial.hyperparameters.values["tuner/initial_epoch"]]
    assert {trial.epochs for trial in found.trials} == {1, 3} and promoted
    for trial in promoted:
        recipe = LONG.change(learning_rate=trial.hyperparameters.values["learning_rate"])
        whole = cross_validate_recipe(recipe, without_test(digits), seeds=[0], folder=tmp_path / trial.trial_id)
        assert trial.score == whole.mean
        legs = [*(tuner.folds_folder(trial.trial_id)).glob("*_epochs3.json")]
        losses = [json.loads(path.read_text())["train_loss"] for path in sorted(legs)]
        assert losses == [list(score.train_loss) for score in whole.scores]


def test_a_leg_that_is_killed_before_its_score_is_written_is_the_same_leg(tmp_path, digits):
    def leg(epochs, name, after=None):
        home = None if after is None else tmp_path / after
        return cross_validate_recipe(LONG, digits, seeds=[0], folder=tmp_path / name, leg=Leg(epochs, home)).mean

    short = leg(1, "first")
    for score in (tmp_path / "first").glob("*.json"):
        score.unlink()
    assert leg(1, "first") == short
    long = leg(3, "second", after="first")
    assert long == cross_validate_recipe(LONG, digits, seeds=[0], folder=tmp_path / "whole").mean
    with pytest.raises(FoldFailed, match="until"):
        leg(2, "second")


def test_a_study_compares_the_best_with_what_was_chosen_and_opens_the_test_once(tmp_path, digits, monkeypatch):
    opened = []
    real = Dataset.open_test

    def spy(self, reason, log):
        if self.test_images > 1:
            opened.append(reason)
        return real(self, reason, log)

    monkeypatch.setattr(Dataset, "open_test", spy)
    monkeypatch.setattr(tuner_recipes, "train", pretend)
    search, compared = run_study(study(seeds=1), digits, tmp_path, quick=False, command="python s.py")
    assert len(search.rows) == 2 and {row[0] for row in compared.rows} == {"trial 0000", "theirs"}
    assert len(opened) == 1
    assert any("opened once" in note for note in compared.footnotes)
    folder = tmp_path / "tuning" / "lenet"
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert {"table.md", "trials.csv", "trials.svg", "hyperparameters.svg", "test.json"} <= names
    for table in (search, compared):
        assert any("Hardware and versions of " in note and "keras " in note for note in table.footnotes)
    (one, *_) = (tmp_path / "tuning").rglob("folds/*.json")
    kept = json.loads(one.read_text())
    del kept["made_with"]  # as trainings were kept before it was noted
    one.write_text(json.dumps(kept))
    search, _ = run_study(study(seeds=1), digits, tmp_path, quick=False)
    assert any("not recorded (1 of " in note for note in search.footnotes)
    for one in (tmp_path / "tuning").rglob("folds/*.json"):
        kept = json.loads(one.read_text())
        kept.pop("made_with", None)
        one.write_text(json.dumps(kept))
    search, _ = run_study(study(seeds=1), digits, tmp_path, quick=False)
    assert any("trainings: not recorded, as kmodels" in note for note in search.footnotes)
    assert len(opened) == 1


def test_a_trial_that_diverges_is_no_end_of_a_study(tmp_path, digits, monkeypatch):
    def diverging(task, dataset, **options):
        run = pretend(task, dataset, **options)
        run.diverged = "epoch 1, step 1" if task.recipe.learning_rate == 2e-3 else ""
        return run

    monkeypatch.setattr(tuner_recipes, "train", diverging)
    for _ in range(2):  # the second call finds what the first kept of the failure
        search, compared = run_study(study(seeds=1), digits, tmp_path, quick=False)
        assert any("not finite" in note for note in search.footnotes)
        assert any("Hardware and versions of 1 training:" in note for note in search.footnotes)
        assert {row[0] for row in compared.rows} == {"trial 0001", "theirs"}


def test_a_study_answers_wrong_use_and_a_failure_in_one_line(tmp_path, digits, monkeypatch, capsys):
    def diverging(task, dataset, **options):
        run = pretend(task, dataset, **options)
        run.diverged = "epoch 1, step 1" if task.recipe.learning_rate == 1e-3 else ""
        return run

    monkeypatch.setattr(tuner_recipes, "train", diverging)
    monkeypatch.setattr(study_module, "load", lambda name, report: digits)
    monkeypatch.setattr("sys.argv", ["tuning/tune_lenet.py"])
    assert run_command(study(), ["--protocol", "long"]) == 2
    assert run_command(study(), ["--out", str(tmp_path)]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tune_lenet.py: ")]
    assert len(said) == 2 and "--protocol" in said[0] and "not finite" in said[1]


def test_the_quick_protocol_never_opens_the_test_set(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(tuner_recipes, "train", pretend)
    closed = dataclasses.replace(digits, _x_test=None, _y_test=None)
    monkeypatch.setattr(tuner_recipes, "without_test", lambda dataset, keep=without_test: keep(digits))
    _, compared = run_study(study(), closed, tmp_path, quick=True)
    assert len(compared.rows) == 2
    assert not (tmp_path / "quick" / "tuning" / "lenet" / "test.json").exists()


@pytest.mark.parametrize("script", sorted((ROOT / "tuning").glob("tune_*.py")), ids=lambda path: path.stem)
def test_every_study_declares_recipes_that_exist(script):
    from keras_tuner import HyperParameters

    declared = runpy.run_path(str(script))["STUDY"]
    for changes in (declared.space(HyperParameters()), *declared.further.values()):
        for base in (declared.base, declared.base.change(**declared.quick)):
            recipe = base.change(**changes)
            assert recipe.split.kind != "test"
            json.dumps(recipe.as_dict())


@pytest.mark.parametrize("changes", [{"keep": "best_accuracy"}, {"testing": "report_c"}])
def test_what_would_score_too_well_or_needs_test_images_is_no_recipe_of_a_search(digits, tmp_path, changes):
    with pytest.raises(ValueError, match=f"{next(iter(changes))}: expected '.*' in a search"):
        cross_validate_recipe(BASE.change(**changes), digits, seeds=[0], folder=tmp_path)


def test_what_is_no_single_training_is_no_recipe_of_a_search(digits, tmp_path):
    apart = BASE.change(model="average_net", model_args={"members": ("lenet", "plain_net")}, train_members="apart")
    with pytest.raises(ValueError, match="train_members: expected 'jointly' in a search"):
        cross_validate_recipe(apart, digits, seeds=[0], folder=tmp_path)


def test_what_a_recipe_observes_is_left_out_of_a_search(digits, tmp_path):
    plain = cross_validate_recipe(BASE, digits, seeds=[0], folder=tmp_path)
    seen = cross_validate_recipe(BASE.change(observe=("loss_sum",)), digits, seeds=[0], folder=tmp_path)
    assert seen.reused == len(seen.scores) and seen.scores == plain.scores
