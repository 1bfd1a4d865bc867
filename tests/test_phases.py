"""Restarts: each phase begins with the best weights so far, a fresh optimizer and its own rate."""

import json

import numpy as np
import pytest

from kmodels import data
from kmodels.results.runs import Run
from kmodels.spec.experiment import Recipe, Split
from kmodels.spec.phases import phases
from kmodels.spec.rate import Restart, Schedule
from kmodels.training import network
from kmodels.training.state import capture, restore
from kmodels.training.train import train
from tests.tiny_experiment import BASE, task

SETTINGS = {
    "split": Split(kind="stratified_holdout", validation_fraction=0.1),
    "train_images": 96,
    "head": "logits",
    "model": "convnet",
    "model_args": {},
    "image_size": 8,
    "optimizer": "sgd",
    "momentum": 0.9,
    "learning_rate": 0.1,
    "schedule": Schedule(kind="exponential", gamma=0.99),
    "epochs": 4,
}
RESTARTS = (Restart(epochs=2, learning_rate=0.05), Restart(epochs=1, learning_rate=0.01))


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def by_hand(run_task, digits):
    """The same with plain `fit`, one call a phase: values of the kept epoch's weights, and the validation losses."""
    from kmodels.training.task_data import TaskData

    recipe, share = run_task.recipe, TaskData.of(run_task, digits, "memory")
    held, _ = share.validation()
    model = network.build_model(
        phases(recipe)[0].recipe,
        (8, 8, 1),
        10,
        seed=run_task.seed,
        fold=0,
        steps_per_epoch=share.training().steps_per_epoch,
    )
    from kmodels.acceleration import accelerate

    accelerate(model, steps=1)
    losses, best = [], None
    for phase in phases(recipe):
        if phase.begin:
            network.compile_model(model, phase.recipe, share.training().steps_per_epoch)
            if recipe.keep != "last":
                restore(model.weights, best, "best")
        for epoch in range(phase.begin, phase.end):
            feed = share.training(epoch)
            found = model.fit(
                feed.x,
                steps_per_epoch=feed.steps_per_epoch,
                initial_epoch=epoch,
                epochs=epoch + 1,
                validation_data=held.x,
                validation_steps=held.steps_per_epoch,
                shuffle=False,
                verbose=0,
            ).history
            losses += found["val_loss"]
            if losses[-1] == min(losses):
                best = capture(model.weights)
    return losses, best if recipe.keep != "last" else capture(model.weights)


def test_each_phase_has_its_own_length_and_rate():
    recipe = BASE.change(**SETTINGS, restarts=RESTARTS)
    found = phases(recipe)
    assert [(p.begin, p.end) for p in found] == [(0, 4), (4, 6), (6, 7)]
    assert [p.recipe.learning_rate for p in found] == [0.1, 0.05, 0.01]
    assert all(p.recipe.restarts == () and p.recipe.schedule == recipe.schedule for p in found)
    assert recipe.total_epochs == 7
    assert phases(BASE) == (type(found[0])(BASE, 0),)


@pytest.mark.parametrize("keep", ["best_loss", "last"])
def test_restarts_are_single_trainings_one_after_the_other(digits, keep):
    asked = task(**SETTINGS, restarts=RESTARTS, keep=keep)
    run = train(asked, digits)
    losses, weights = by_hand(asked, digits)
    np.testing.assert_allclose(run.curves["val_loss"], losses, atol=2e-6)
    assert len(losses) == 7
    assert min(losses[:4]) < losses[3], "the second phase would begin with the last epoch's weights anyway"
    model = network.build_model(BASE.change(**SETTINGS), (8, 8, 1), 10, seed=0, fold=0)
    restore(model.weights, weights, "weights")
    transform = network.transform_for(asked.recipe, digits, np.arange(96))
    from kmodels import augment

    images, _ = digits.open_test("test", lambda line: None)
    said = model.predict(augment.apply(images, None, transform), verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(said, run.predictions.classes)


def test_a_run_with_restarts_is_read_back(digits):
    run = train(task(**SETTINGS, restarts=RESTARTS, keep="best_accuracy"), digits)
    again = Run.from_dict(json.loads(json.dumps(run.as_dict())))
    assert Recipe.from_dict(again.recipe) == BASE.change(**SETTINGS, restarts=RESTARTS, keep="best_accuracy")
    assert again.scores["kept_epoch"] == run.scores["kept_epoch"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"restarts": (3,)}, "restarts: expected a sequence of Restart"),
        ({"patience": 2}, "patience: expected None for keep='last'"),
        ({"patience": -1, "keep": "best_loss"}, "patience: expected None or an integer, 0 or more"),
        (
            {"patience": 2, "keep": "best_loss", "restarts": RESTARTS},
            "patience: expected None where there are restarts",
        ),
        ({"schedule": Schedule(kind="cosine", warmup_epochs=1), "restarts": RESTARTS}, "fewer than the 1 epochs"),
        ({"keep": "best"}, "keep: expected one of last, best_accuracy"),
        ({"testing": "report_d"}, "testing: expected one of standard, report_c"),
        ({"keep": "best_test_accuracy", "split": Split(kind="test")}, "keep: expected 'best_accuracy' where"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        BASE.change(**{**SETTINGS, **changes})


@pytest.mark.parametrize("values", [{"epochs": 0, "learning_rate": 0.1}, {"epochs": 1, "learning_rate": 0.0}])
def test_a_restart_refuses_what_it_cannot_be(values):
    with pytest.raises(ValueError, match="expected"):
        Restart(**values)
