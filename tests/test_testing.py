"""Report C's way of testing, against its own network in PyTorch, one image at a time."""

import copy

import keras
import numpy as np
import pytest
from equality import copy_weights, images, randomize
from hypothesis import given
from hypothesis import strategies as st
from twins.convnet import MyConvNet
from twins.weights import draw_weights

from kmodels import data, models
from kmodels.data.labels import Labels
from kmodels.models.initial_weights import initialize
from kmodels.results.runs import read_run, write_run
from kmodels.spec.experiment import Split
from kmodels.training.testing import drawn_classes, one_image_at_a_time
from kmodels.training.train import train
from kmodels.verification.stored_run import check_run
from tests.tiny_experiment import task

CONVNET = {
    "model": "convnet",
    "model_args": {},
    "split": Split(kind="stratified_holdout", validation_fraction=0.1),
    "image_size": 8,
    "epochs": 4,
    "learning_rate": 1e-3,
}


@pytest.fixture(scope="module")
def pair():
    from torch import nn

    twin = MyConvNet()
    twin.fc[0] = nn.Linear(128 * 2 * 2, 16 * 7 * 7)  # for images of 8x8
    model, twin = models.build("convnet", (8, 8, 1), 10), draw_weights(twin)
    randomize(twin, seed=1)
    copy_weights(model, twin)
    return model, twin


def singly(twin, x):
    """What the report's own test sees: a network in training mode, images one at a time."""
    import torch

    twin = copy.deepcopy(twin).train()  # JAX may share the memory of arrays that it was given
    with torch.no_grad():
        each = [twin(torch.from_numpy(np.ascontiguousarray(image[None].transpose(0, 3, 1, 2)))) for image in x]
    return torch.cat(each).numpy()


@pytest.mark.backend
def test_all_images_at_once_are_what_one_at_a_time_gives(pair):
    model, twin = pair
    x = images(12, (8, 8, 1))
    before = model.get_weights()
    alone = one_image_at_a_time(model).predict(x, verbose=0)
    np.testing.assert_allclose(alone, singly(twin, x), atol=2e-4)
    together = keras.ops.convert_to_numpy(one_image_at_a_time(model)(x[:3]))
    np.testing.assert_allclose(alone[:3], together, atol=1e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(alone - model.predict(x, verbose=0)).max() > 0.1, "running statistics would do as well"


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet14_d"])
def test_other_networks_too(name):
    model = models.build(name, (32, 32, 3), 10)
    initialize(model, seed=0)
    x = images(2, (32, 32, 3))
    alone = one_image_at_a_time(model).predict(x, verbose=0)
    singly_said = np.concatenate([keras.ops.convert_to_numpy(model(image[None], training=True)) for image in x])
    np.testing.assert_allclose(alone, singly_said, atol=2e-3 * np.abs(singly_said).max())


def test_dropout_would_draw_and_is_refused(digits):
    with pytest.raises(ValueError, match="testing: expected 'standard' for a network with dropout"):
        one_image_at_a_time(models.build("alexnet", (224, 224, 1), 10, normalize=False, dropout=0.5))
    with pytest.raises(ValueError, match="report_c, with dropout"):
        train(task(dropout=0.5, testing="report_c"), digits)


@given(st.lists(st.integers(-30, 30), min_size=2, max_size=6))
def test_classes_are_drawn_as_often_as_predicted(values):
    logits = np.array(values, float) / 10
    n = 4000
    drawn = drawn_classes(np.tile(logits, (n, 1)), (np.arange(n) + 0.5) / n)
    shares = np.bincount(drawn, minlength=len(values)) / n
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(shares, expected, atol=1.01 / n)


def test_the_largest_number_below_one_draws_the_last_class_that_there_is():
    almost = np.nextafter(1.0, 0.0)
    assert drawn_classes(np.array([[0.0, 0.0, 0.0]]), np.array([almost])).tolist() == [2]
    assert drawn_classes(np.array([[0.0, -np.inf]]), np.array([almost])).tolist() == [0]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_a_run_holds_all_four_accuracies_of_one_opening(digits, tmp_path):
    run = train(task(**CONVNET, testing="report_c"), digits)
    plain = train(task(**CONVNET), digits)
    further = {"test_accuracy_sampled", "test_accuracy_training_mode", "test_accuracy_training_mode_sampled"}
    assert set(run.scores) - set(plain.scores) == further
    assert {name: value for name, value in run.scores.items() if name not in further} == plain.scores
    assert len(run.test_openings) == 1
    assert run.scores["test_accuracy_training_mode"] > 0.3
    labels = digits.open_test("a test", lambda line: None)[1]
    known = Labels("digits", digits.digest, digits.y_train, labels, digits.num_classes)
    checked = check_run(read_run(write_run(run, tmp_path)), known)
    assert (checked.differences(), checked.unchecked) == ([], ())
    assert set(run.predictions.further) == further
    assert plain.predictions.further == {}
    for name, classes in run.predictions.further.items():  # each of the four is kept, so that anybody finds the same
        assert (classes.dtype, np.mean(classes == labels)) == (np.uint8, run.scores[name])
    assert len({classes.tobytes() for classes in (run.predictions.classes, *run.predictions.further.values())}) == 4
    again = train(task(**CONVNET, testing="report_c"), digits)
    assert again.scores == run.scores
    for mode in ("", "_training_mode"):  # a distribution that is not sure yet loses by drawing
        assert run.scores[f"test_accuracy{mode}_sampled"] < run.scores[f"test_accuracy{mode}"]
