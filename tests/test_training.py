"""One training: repeatable, the same on every backend, honest about what it opened."""

import json
import re

import keras
import numpy as np
import pytest

from kmodels import data
from kmodels.data.labels import labels_of
from kmodels.results.runs import Run
from kmodels.spec.experiment import Split
from kmodels.training.network import build_model
from kmodels.training.train import measure_rate, train
from kmodels.verification.stored_run import check_run
from tests.tiny_experiment import BASE, task


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def numbers(run):
    return (run.key, run.scores, run.curves, run.predictions.classes.tolist(), run.validation_classes.tolist())


@pytest.mark.backend
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(digits):
    first, again = train(task(dropout=0.5), digits), train(task(dropout=0.5), digits)
    assert numbers(first) == numbers(again)
    other = train(task(seed=1, dropout=0.5), digits)
    assert other.key != first.key
    assert other.curves["loss"] != first.curves["loss"]


@pytest.mark.backend
@pytest.mark.parametrize("head", ["logits", "softmax"])
def test_two_epochs_of_lenet_agree_across_backends(digits, head):
    # Golden values from torch 2.13 on a CPU. Batches and initial weights are the same bytes everywhere; what differs is
    # the order of float32 sums, which 34 Adam steps at 2e-3 keep below 1e-4 of the loss.
    run = train(task(epochs=2, train_images=544, learning_rate=2e-3, head=head), digits)
    golden = {
        "logits": {"loss": [2.410787, 2.32387], "val_loss": [2.315107, 2.31791]},
        "softmax": {"loss": [2.306421, 2.305297], "val_loss": [2.305623, 2.303861]},
    }[head]
    np.testing.assert_allclose(run.curves["loss"], golden["loss"], atol=1e-4)
    np.testing.assert_allclose(run.curves["val_loss"], golden["val_loss"], atol=1e-4)


def test_memory_and_tfdata_train_the_same(digits):
    memory, tfdata = train(task(), digits), train(task(), digits, pipeline="tfdata")
    np.testing.assert_allclose(memory.curves["loss"], tfdata.curves["loss"], atol=1e-5)
    assert memory.key != tfdata.key


def test_every_fold_starts_from_the_same_weights_and_sees_its_own_images(digits):
    shape = digits.x_train.shape[1:]
    first = build_model(BASE, shape, 10, seed=0, fold=0).get_weights()
    second = build_model(BASE, shape, 10, seed=0, fold=1).get_weights()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    runs = [train(task(fold=fold, train_images=None), digits) for fold in (0, 1)]
    held = [run.data["validation_images"] for run in runs]
    assert sum(held) == len(digits.y_train)
    assert runs[0].key != runs[1].key


def test_scores_follow_from_what_is_stored(digits):
    run = train(task(), digits)
    said = []
    _, y_test = digits.open_test("test", said.append)
    assert run.scores["test_accuracy"] == np.mean(run.predictions.classes == y_test)
    assert run.scores["validation_accuracy"] == pytest.approx(run.curves["val_accuracy"][-1], abs=1e-6)
    assert run.predictions.true_class_probability is None
    assert "test_nll" not in run.scores


def test_a_hold_out_keeps_the_probabilities_of_the_right_and_of_the_predicted_class(digits):
    run = train(task(split=Split(kind="stratified_holdout", validation_fraction=0.2)), digits)
    kept = run.predictions.true_class_probability.astype(float) / 65535
    assert run.scores["test_nll"] == pytest.approx(-np.log(np.maximum(kept, 0.5 / 65535)).mean())
    assert 1.0 < run.scores["test_nll"] < 4.0
    sure = run.predictions.confidence.astype(float) / 65535
    _, y_test = digits.open_test("test", lambda line: None)
    right = run.predictions.classes == y_test
    np.testing.assert_array_equal(sure[right], kept[right])
    assert (sure[~right] > kept[~right]).all()
    assert abs(right.mean() - sure.mean()) <= run.scores["test_ece"] + 1e-9 <= 1.0


HOLD_OUT = Split(kind="holdout", validation_fraction=0.2)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"split": Split(kind="test")},
        {"split": HOLD_OUT, "keep": "best_accuracy", "validation_drop_last": True},
        {"split": Split(kind="batches"), "keep": "best_test_accuracy", "head": "softmax"},
    ],
    ids=["folds", "on the test images", "best epoch, full batches", "best on the test images"],
)
def test_what_is_stored_is_what_verification_computes(digits, changes):
    checked = check_run(train(task(**changes), digits), labels_of("digits"))
    assert checked.differences() == []
    names = {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "test_accuracy"}
    names |= {"test_nll", "test_ece"} if changes else set()
    assert {score.name for score in checked.scores} == names


def test_the_test_set_is_opened_once_and_the_reports_habit_is_told(digits):
    assert len(train(task(), digits).test_openings) == 1
    habit = train(task(split=Split(kind="test")), digits)
    assert len(habit.test_openings) == 2
    assert "validation every epoch" in habit.test_openings[0]
    assert habit.validation_classes is None
    assert habit.scores["validation_accuracy"] == habit.scores["test_accuracy"]


@pytest.mark.filterwarnings("ignore:kmodels.accelerate. Keras' own step is used for lenet. float16")
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_with_float32_weights_and_logits(digits, precision):
    before = keras.config.dtype_policy().name
    model = build_model(BASE.change(precision=precision), (8, 8, 1), 10, seed=0, fold=0)
    assert model.get_layer("conv1").compute_dtype == precision.removeprefix("mixed_")
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    assert model.output.dtype == "float32"
    assert keras.config.dtype_policy().name == before
    run = train(task(precision=precision), digits)
    assert np.isfinite(run.curves["loss"]).all()


@pytest.mark.filterwarnings("ignore:kmodels.accelerate. Keras' own step is used for lenet. float16")
@pytest.mark.skipif(keras.backend.backend() != "torch", reason="steps are recorded on PyTorch only")
@pytest.mark.parametrize(
    ("changes", "execution"),
    [
        ({}, "keras"),
        ({"train_images": 398, "batch_size": 2}, "keras"),  # 398 steps
        ({"train_images": 400, "batch_size": 2}, "recorded"),
        ({"train_images": 400, "batch_size": 2, "precision": "mixed_bfloat16"}, "recorded"),
        ({"train_images": 400, "batch_size": 2, "precision": "mixed_float16"}, "keras"),
    ],
)
def test_how_steps_are_taken_follows_from_the_recipe(digits, changes, execution):
    assert train(task(**changes), digits).execution == execution


def test_a_run_says_where_it_comes_from(digits):
    run = train(task(), digits)
    assert run.data["digest"] == digits.digest
    assert run.device
    assert run.versions["keras"] == keras.__version__
    assert len(run.sources) == 16
    assert run.images_per_second > 0
    assert run.peak_memory_bytes > 50e6


def test_a_training_that_diverges_is_a_result_that_says_when(digits):
    run = train(task(learning_rate=1e38, head="logits"), digits)
    said = r"loss is (nan|inf) in epoch 1, from step 2 of the epoch on; no state was kept yet"
    assert re.fullmatch(said, run.diverged)
    assert run.curves == {}
    assert sorted(run.scores) == ["test_accuracy", "validation_accuracy"]
    assert Run.from_dict(json.loads(json.dumps(run.as_dict()))).diverged == run.diverged


def test_a_recipe_that_does_not_fit_the_images_is_refused(digits):
    with pytest.raises(ValueError, match="input_shape"):
        train(task(image_size=None), digits)


def test_the_rate_is_positive_and_opens_no_test_set(digits, monkeypatch):
    monkeypatch.setattr(type(digits), "open_test", lambda *_: pytest.fail("opened the test split"))
    assert measure_rate(BASE, digits, steps=2) > 0
