"""A run's scores, recomputed from what it kept: runs made by hand, true and forged."""

import dataclasses

import numpy as np
import pytest
from runs_by_hand import BASE, FOLDS, MNIST, ON_TEST, make, rescored, with_further

from kmodels.results.predictions import Predictions
from kmodels.results.runs import read_run, write_run
from kmodels.verification.stored_run import check_run


@pytest.mark.parametrize("recipe", [BASE, FOLDS, ON_TEST], ids=["held out", "folds", "on the test images"])
def test_a_true_run_is_the_same_in_every_score(recipe):
    checked = check_run(make(recipe), MNIST)
    assert checked.same
    assert checked.differences() == []
    names = {score.name for score in checked.scores}
    assert {"validation_accuracy", "test_accuracy", "train_loss", "validation_loss"} <= names
    assert ("test_nll" in names) == ("test_ece" in names) == (recipe is not FOLDS)
    assert checked.recomputed.scores == checked.run.scores


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("test_accuracy", 0.0001),
        ("validation_accuracy", -1 / 12_000),
        ("test_ece", 1e-12),
        ("test_nll", 1e-9),
        ("train_loss", 1e-6),
        ("train_accuracy", 1e-6),
        ("validation_loss", -1e-6),
    ],
)
def test_a_changed_score_is_found_and_named(name, by):
    true = make()
    checked = check_run(rescored(true, **{name: true.scores[name] + by}), MNIST)
    assert not checked.same
    (line,) = checked.differences()
    assert line.startswith(f"{name}: stored {true.scores[name] + by!r}, recomputed ")
    assert checked.recomputed.scores[name] == pytest.approx(true.scores[name], abs=1e-12)


def test_the_last_bits_of_a_logarithm_are_no_difference():
    true = make()
    nll = true.scores["test_nll"]
    assert check_run(rescored(true, test_nll=np.nextafter(nll, 9)), MNIST).same
    assert check_run(rescored(true, test_accuracy=np.nextafter(true.scores["test_accuracy"], 1)), MNIST).differences()


def test_a_changed_prediction_is_found():
    true = make()
    classes = true.predictions.classes.copy()
    classes[7] = (classes[7] + 1) % 10
    forged = dataclasses.replace(true.predictions, classes=classes)
    lines = check_run(dataclasses.replace(true, predictions=forged), MNIST).differences()
    assert {line.partition(":")[0] for line in lines} >= {"test_accuracy", "test_ece"}
    validation = true.validation_classes.copy()
    validation[7] = (validation[7] + 1) % 10
    (line,) = check_run(dataclasses.replace(true, validation_classes=validation), MNIST).differences()
    assert line.startswith("validation_accuracy: ")


def test_a_probability_that_cannot_be_is_found():
    true = make()
    right = int(np.flatnonzero(true.predictions.classes == MNIST.test)[0])
    confidence = true.predictions.confidence.copy()
    confidence[right] -= 1
    forged = dataclasses.replace(true.predictions, confidence=confidence)
    lines = check_run(dataclasses.replace(true, predictions=forged), MNIST).differences()
    assert lines[0].startswith("confidence: expected the right class's probability")
    assert lines[0].endswith("another one for 1 images")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"name": "mnist", "digest": "0" * 64}}, "data: expected the content of mnist, sha256 06b0d1f124c4…"),
        ({"predictions": Predictions(np.zeros(9, "uint8"))}, "expected one for each of 10000 images. Received: 9"),
        ({"predictions": Predictions(np.full(10_000, 10, "uint8"))}, "expected classes below 10. Received: 10"),
        ({"predictions": None}, "test_accuracy: stored 0.9"),
        ({"validation_classes": None}, "validation_accuracy: stored 0.9"),
        ({"validation_classes": np.zeros(9, "uint8")}, "labels: expected as many as predicted classes"),
        ({"recipe": {}}, "predictions: expected those of the recipe's images. KeyError: 'split'"),
        ({"fold": 1}, "IndexError"),
        ({"curves": {}}, "train_loss: stored 0.3, but nothing is kept to compute it from"),
    ],
)
def test_what_does_not_fit_is_a_difference_and_no_crash(changes, message):
    checked = check_run(dataclasses.replace(make(), **changes), MNIST)
    assert not checked.same
    assert any(message in line for line in checked.differences())


def test_a_score_that_was_left_out_is_a_difference_and_one_that_cannot_be_computed_is_said():
    true = make()
    left_out = {name: value for name, value in true.scores.items() if name != "test_ece"}
    (line,) = check_run(dataclasses.replace(true, scores=left_out), MNIST).differences()
    assert line.startswith("test_ece: not stored, although it can be computed: ")
    other = check_run(rescored(true, test_accuracy_drawn=0.5), MNIST)
    assert (other.same, other.unchecked) == (True, ("test_accuracy_drawn",))


@pytest.mark.parametrize("recipe", [BASE, FOLDS, ON_TEST], ids=["held out", "folds", "on the test images"])
def test_each_way_of_testing_is_recomputed(recipe, tmp_path):
    run = read_run(write_run(with_further(recipe), tmp_path))
    checked = check_run(run, MNIST)
    assert (checked.same, checked.unchecked) == (True, ())
    names = {"test_accuracy_sampled", "majority_test_accuracy", "majority_validation_accuracy"}
    assert names <= {score.name for score in checked.scores}
    for name in names:
        (line,) = check_run(rescored(run, **{name: run.scores[name] + 0.0001}), MNIST).differences()
        assert line.startswith(f"{name}: stored ")
    # a file from before the classes were kept says the same numbers, which nothing is left to compute from
    bare = dataclasses.replace(run, predictions=dataclasses.replace(run.predictions, further={}))
    checked = check_run(bare, MNIST)
    assert checked.same
    assert set(checked.unchecked) == names


def test_a_changed_class_of_another_way_of_testing_is_found():
    run = with_further()
    for name, classes in run.predictions.further.items():
        changed = classes.copy()
        changed[3] = (changed[3] + 1) % 10
        forged = dataclasses.replace(run.predictions, further={**run.predictions.further, name: changed})
        (line,) = check_run(dataclasses.replace(run, predictions=forged), MNIST).differences()
        assert line.startswith(f"{name}: stored ")
    more = {**run.predictions.further, "test_accuracy_training_mode": run.predictions.classes}
    forged = dataclasses.replace(run.predictions, further=more)
    (line,) = check_run(dataclasses.replace(run, predictions=forged), MNIST).differences()
    assert line.startswith("test_accuracy_training_mode: not stored, although it can be computed: ")


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("test_accuracy_sampled", np.full(10_000, 10, "uint8"), "test_accuracy_sampled: expected classes below 10"),
        ("majority_validation_accuracy", np.zeros(9, "uint8"), "majority_validation_accuracy: expected one for each"),
    ],
)
def test_classes_of_another_way_that_do_not_fit_are_no_run(tmp_path, name, classes, message):
    run = with_further()
    forged = dataclasses.replace(run.predictions, further={name: classes})
    data = {**run.data, "validation_images": 12_000, "num_classes": 10}
    path = write_run(dataclasses.replace(run, predictions=forged, data=data), tmp_path)
    with pytest.raises(ValueError, match=message):
        read_run(path)
    assert check_run(dataclasses.replace(run, predictions=forged), MNIST).differences()


def test_the_epoch_that_was_kept_gives_the_losses():
    first = {"train_loss": 1.0, "train_accuracy": 0.5, "validation_loss": 0.9, "kept_epoch": 1}
    assert check_run(rescored(make(), **first), MNIST).same
    assert not check_run(rescored(make(), **{**first, "kept_epoch": 3}), MNIST).same
    assert not check_run(rescored(make(), **{**first, "kept_epoch": -2}), MNIST).same
    assert not check_run(rescored(make(), kept_epoch=1), MNIST).same


def test_validation_images_that_fill_no_batch_are_left_out_as_the_recipe_says():
    recipe = BASE.change(validation_drop_last=True)
    run = make(recipe)
    full = run.validation_classes[: 12_000 // 128 * 128]
    share = float(np.mean(full == MNIST.train[48_000:][: len(full)]))
    run = dataclasses.replace(run, validation_classes=full)
    assert check_run(rescored(run, validation_accuracy=share), MNIST).same
