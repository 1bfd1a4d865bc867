"""Scores from kept predictions: by hand, against sums written out, and what holds whatever was predicted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.results.predictions import STEPS, Predictions
from kmodels.stats import scoring


@st.composite
def said(draw):
    """Probabilities over classes, and what a run keeps of them: labels, classes, steps of true and predicted class."""
    number, images = draw(st.integers(2, 6)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = random.normal(0, draw(st.sampled_from([0.1, 1.0, 5.0])), (images, number))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = random.integers(0, number, images)
    classes = probabilities.argmax(axis=1).astype("uint8")
    steps = np.round(probabilities * STEPS).astype("uint16")
    every = np.arange(images)
    return number, labels, classes, steps[every, labels], steps[every, classes]


def array(*values, dtype="uint8"):
    return np.array(values, dtype)


def test_scores_by_hand():
    predictions = Predictions(array(0, 1, 1, 2), array(65535, 13107, 0, 32768, dtype="uint16"))
    labels = np.array([0, 0, 2, 2])
    scores = scoring.scores_on_test(predictions, labels)
    assert scores["test_accuracy"] == 0.5
    by_hand = -(math.log(1) + math.log(0.2) + math.log(0.5 / 65535) + math.log(32768 / 65535)) / 4
    assert scores["test_nll"] == pytest.approx(by_hand, rel=1e-14)
    assert set(scores) == {"test_accuracy", "test_nll"}  # no confidence was kept


def test_calibration_by_hand():
    # two images of confidence 0.9 (one right), one of 0.6 (right), one of 0.55 (wrong): bins 13, 8 and 8
    classes, labels = array(0, 0, 1, 1), np.array([0, 1, 1, 0])
    confidence = np.round(np.array([0.9, 0.9, 0.6, 0.55]) * STEPS).astype("uint16")
    expected = 2 / 4 * abs(1 / 2 - 0.9) + 2 / 4 * abs(1 / 2 - 0.575)
    assert scoring.expected_calibration_error(classes, confidence, labels) == pytest.approx(expected, abs=1e-5)
    bins = scoring.reliability_bins(classes, confidence, labels)
    assert [(m, b.images, b.right) for m, b in enumerate(bins) if b.images] == [(8, 2, 1), (13, 2, 1)]
    assert bins[8].confidence == pytest.approx(0.575, abs=1e-5)
    assert math.isnan(bins[0].accuracy)
    assert math.isnan(bins[0].confidence)


@pytest.mark.parametrize(
    ("steps", "place"), [(0, 0), (1, 0), (4369, 0), (4370, 1), (8738, 1), (61166, 13), (61167, 14), (65535, 14)]
)
def test_an_edge_belongs_to_the_bin_below_it(steps, place):
    bins = scoring.reliability_bins(array(0), array(steps, dtype="uint16"), np.array([0]))
    assert [b.images for b in bins].index(1) == place
    assert bins[place].low <= steps / STEPS <= bins[place].high


@given(said())
def test_calibration_error_is_that_of_its_formula_in_floating_point(kept):
    _, labels, classes, _, confidence = kept
    p, right = confidence / STEPS, classes == labels
    formula = 0.0
    for m in range(15):
        inside = (p > m / 15 + 1e-9) & (p <= (m + 1) / 15 + 1e-9)
        if inside.any():
            formula += inside.mean() * abs(right[inside].mean() - p[inside].mean())
    assert scoring.expected_calibration_error(classes, confidence, labels) == pytest.approx(formula, abs=1e-12)


@given(said())
def test_calibration_lies_between_the_mean_gap_and_the_gap_of_single_images(kept):
    _, labels, classes, _, confidence = kept
    found = scoring.expected_calibration_error(classes, confidence, labels)
    right = classes == labels
    assert abs(right.mean() - (confidence / STEPS).mean()) - 1e-12 <= found
    assert found <= np.abs(right - confidence / STEPS).mean() + 1e-12


@given(said())
def test_bins_are_the_calibration_error_taken_apart(kept):
    _, labels, classes, _, confidence = kept
    bins = scoring.reliability_bins(classes, confidence, labels)
    assert sum(b.images for b in bins) == len(labels)
    assert sum(b.right for b in bins) / len(labels) == scoring.accuracy(classes, labels)
    whole = sum(b.images / len(labels) * abs(b.accuracy - b.confidence) for b in bins if b.images)
    assert scoring.expected_calibration_error(classes, confidence, labels) == pytest.approx(whole, abs=1e-12)


@given(said(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(kept, random):
    _, labels, classes, true, confidence = kept
    order = list(range(len(labels)))
    random.shuffle(order)
    before = scoring.scores_on_test(Predictions(classes, true, confidence), labels)
    after = scoring.scores_on_test(Predictions(classes[order], true[order], confidence[order]), labels[order])
    assert after.pop("test_nll") == pytest.approx(before.pop("test_nll"), rel=1e-12)
    assert after == before  # what is counted is the same to the last bit


@given(said())
def test_the_matrix_counts_every_image_once_and_holds_the_other_scores(kept):
    number, labels, classes, _, _ = kept
    matrix = scoring.confusion_matrix(classes, labels, number)
    assert matrix.shape == (number, number)
    assert matrix.sum() == len(labels)
    assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=number).tolist()
    assert matrix.sum(axis=0).tolist() == np.bincount(classes, minlength=number).tolist()
    assert matrix.trace() / len(labels) == scoring.accuracy(classes, labels)
    shares = scoring.per_class_accuracy(classes, labels, number)
    for label, share in enumerate(shares):
        own = classes[labels == label]
        assert share == np.mean(own == label) if len(own) else math.isnan(share)


def test_the_matrix_has_right_classes_down_and_predicted_ones_across():
    matrix = scoring.confusion_matrix(array(2, 2, 0), np.array([1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 0]]


@given(said())
def test_a_likelihood_of_one_costs_nothing_and_everything_else_does(kept):
    *_, true, confidence = kept
    found = scoring.negative_log_likelihood(true)
    assert found >= 0
    assert found >= scoring.negative_log_likelihood(confidence) - 1e-12  # the predicted class is the likeliest
    assert (found == 0) == bool((true == STEPS).all())
    assert str(scoring.negative_log_likelihood(np.full(3, STEPS, "uint16"))) == "0.0"


def test_numbers_that_do_not_fit_are_named():
    two, three = np.array([0, 1]), np.array([0, 1, 1])
    with pytest.raises(ValueError, match=r"labels: expected as many as predicted classes.*\(3,\) and \(2,\)"):
        scoring.accuracy(two, three)
    with pytest.raises(ValueError, match="labels: expected as many"):
        scoring.accuracy(two[:0], two[:0])
    with pytest.raises(ValueError, match="classes: expected classes from 0 to 1"):
        scoring.confusion_matrix(np.array([0, 2]), two, 2)
    with pytest.raises(ValueError, match="labels: expected classes from 0 to 1"):
        scoring.per_class_accuracy(two, np.array([-1, 0]), 2)
    with pytest.raises(ValueError, match=r"confidence: expected shape \(2,\)"):
        scoring.expected_calibration_error(two, np.zeros(3, "uint16"), two)
    with pytest.raises(ValueError, match="true_class_probability: expected one image or more"):
        scoring.negative_log_likelihood(np.zeros(0, "uint16"))
