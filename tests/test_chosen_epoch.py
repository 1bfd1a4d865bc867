"""Which epoch counts, and when a training ends: as report C's listing decides, and as a shorter training gives it."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels import data
from kmodels.spec.experiment import Split
from kmodels.training.chosen_epoch import ChosenEpoch
from kmodels.training.train import train
from tests.tiny_experiment import task

HELD = {"split": Split(kind="stratified_holdout", validation_fraction=0.1), "head": "logits", "train_images": 96}
CONVNET = {**HELD, "model": "convnet", "model_args": {}, "image_size": 8, "optimizer": "sgd", "momentum": 0.9}
CONVNET |= {"learning_rate": 0.1, "epochs": 4}  # the third epoch is better than the fourth by all but one measure


def listing(accuracies, patience):
    """Report C's loop, as printed: the epoch whose weights are on disk, and the last one trained, from 1."""
    best_acc, stale, best_epoch, epoch = -1.0, 0, None, 0
    for epoch, valid_acc in enumerate(accuracies):
        if valid_acc > best_acc:
            best_epoch = epoch
            best_acc = valid_acc
            stale = 0
        else:
            stale += 1
            if stale > patience:
                break
    return best_epoch + 1, epoch + 1


def followed(chosen, epochs):
    """A training that logs the given values: the network's only weight is the number of the epoch."""
    model = SimpleNamespace(weights=[keras.Variable(0.0)], stop_training=False)
    chosen.set_model(model)
    for epoch, logs in enumerate(epochs):
        model.weights[0].assign(float(epoch + 1))
        chosen.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    trained = epoch + 1
    chosen.restore(model)
    return float(keras.ops.convert_to_numpy(model.weights[0])), trained


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 3))
def test_the_listing_decides_likewise(accuracies, patience):
    chosen = ChosenEpoch("best_accuracy", patience)
    held, trained = followed(chosen, [{"val_accuracy": value / 4} for value in accuracies])
    assert (held, trained) == listing(accuracies, patience)
    assert chosen.epoch == held


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_the_lowest_loss_is_the_highest_of_its_negatives(losses):
    chosen = ChosenEpoch("best_loss", None)
    held, trained = followed(chosen, [{"val_loss": float(value)} for value in losses])
    assert held == 1 + losses.index(min(losses))
    assert trained == len(losses)


def test_nothing_is_held_of_the_last_epoch():
    chosen = ChosenEpoch("last", None)
    assert followed(chosen, [{"val_accuracy": 0.5}, {"val_accuracy": 0.4}]) == (2.0, 2)
    assert (chosen.epoch, chosen.weights) == (None, ())


def test_what_is_remembered_goes_on():
    whole, first, second = (ChosenEpoch("best_accuracy", 1) for _ in range(3))
    logs = [{"val_accuracy": value} for value in (0.5, 0.7, 0.6, 0.65, 0.8)]
    followed(first, logs[:3])
    second.resume(first.facts(), first.weights)
    assert followed(whole, logs) == (2.0, 4)
    model = SimpleNamespace(weights=[keras.Variable(0.0)], stop_training=False)
    second.set_model(model)
    second.on_epoch_end(3, logs[3])
    assert model.stop_training
    second.restore(model)
    assert float(keras.ops.convert_to_numpy(model.weights[0])) == 2.0


def test_test_accuracy_joins_the_logs_of_the_callbacks_that_follow():
    measured = iter([0.3, 0.5, 0.4])
    chosen = ChosenEpoch("best_test_accuracy", None, lambda model: next(measured))
    logs = [{"val_accuracy": 0.9} for _ in range(3)]
    assert followed(chosen, logs) == (2.0, 3)
    assert [values["test_accuracy"] for values in logs] == [0.3, 0.5, 0.4]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.mark.backend
def test_the_best_epoch_is_what_a_training_that_long_comes_to(digits):
    run = train(task(**CONVNET, keep="best_loss"), digits)
    kept = run.scores["kept_epoch"]
    assert kept == 1 + int(np.argmin(run.curves["val_loss"]))
    assert kept < 4, "the last epoch would prove nothing"
    short = train(task(**{**CONVNET, "epochs": kept}), digits)
    assert {**short.scores, "kept_epoch": kept} == run.scores
    np.testing.assert_array_equal(short.predictions.classes, run.predictions.classes)
    opened = "test split of digits opened: evaluation of the best epoch's weights (297 images)"
    assert list(run.test_openings) == [opened]


def test_patience_ends_a_training(digits):
    run = train(task(**{**CONVNET, "epochs": 9}, keep="best_loss", patience=0), digits)
    losses = run.curves["val_loss"]
    assert 2 <= len(losses) < 9
    assert losses[-1] >= losses[-2]
    assert run.scores["kept_epoch"] == len(losses) - 1


@pytest.mark.backend
def test_a_maximum_over_the_test_accuracy_is_told_and_opens_the_test_images_first(digits):
    run = train(task(**CONVNET, keep="best_test_accuracy"), digits)
    assert run.scores["test_accuracy"] == pytest.approx(max(run.curves["test_accuracy"]), abs=1e-6)
    assert len(run.curves["test_accuracy"]) == 4
    assert run.scores["kept_epoch"] != 1 + int(np.argmax(run.curves["val_accuracy"]))
    assert len(run.test_openings) == 2
    assert "accuracy after every epoch" in run.test_openings[0]


def test_images_that_fill_no_batch_are_left_out_of_the_validation(digits):
    whole = train(task(**HELD, batch_size=32), digits)
    full = train(task(**HELD, batch_size=32, validation_drop_last=True), digits)
    assert (whole.data["validation_images"], full.data["validation_images"]) == (150, 128)
    np.testing.assert_array_equal(full.validation_classes, whole.validation_classes[:128])
    assert full.curves["loss"] == whole.curves["loss"]
    with pytest.raises(ValueError, match="batch_size: expected 150 or less to validate on full batches"):
        train(task(**HELD, batch_size=151, validation_drop_last=True), digits)
