"""What is read of a run beside its scores."""

import math
from dataclasses import replace

import pytest
from simulated_runs import run

from kmodels.claims import MEASURES
from kmodels.measured import measured


def test_a_gap_has_no_sign():
    over, under = run(train_accuracy=0.95, train_loss=0.1), run(train_accuracy=0.85, train_loss=0.4)
    assert measured(over, "accuracy_gap") == pytest.approx(0.05)
    assert measured(under, "accuracy_gap") == pytest.approx(0.05)
    assert measured(over, "loss_gap") == pytest.approx(0.2)
    assert measured(under, "loss_gap") == pytest.approx(0.1)


def test_a_loss_that_falls_faster_has_the_smaller_mean():
    slow = replace(run(), curves={"loss": [2.0, 1.5, 0.1]})
    fast = replace(run(), curves={"loss": [0.5, 0.2, 0.1]})
    assert measured(slow, "mean_train_loss") == pytest.approx(1.2)
    assert measured(fast, "mean_train_loss") < measured(slow, "mean_train_loss")


def test_the_sum_of_batch_losses_is_that_of_the_report():
    # 40,000 images in batches of 512 are 79 batches, the last of 64
    done = run(train_loss=130.22897 / 79)
    done = replace(done, data={**done.data, "train_images": 40_000}, recipe={**done.recipe, "batch_size": 512})
    assert measured(done, "train_loss_sum") == pytest.approx(130.22897)
    full = replace(done, recipe={**done.recipe, "drop_last": True})
    assert measured(full, "train_loss_sum") == pytest.approx(130.22897 / 79 * 78)


@pytest.mark.parametrize("measure", [name for name, kind in MEASURES.items() if not kind.spread])
def test_a_diverged_run_has_no_number(measure):
    assert math.isnan(measured(replace(run(), diverged="in epoch 1"), measure))


@pytest.mark.parametrize("measure", ["accuracy_gap", "train_loss_sum", "test_nll"])
def test_a_missing_score_is_said(measure):
    with pytest.raises(ValueError, match="measure: expected one of validation_accuracy"):
        measured(run(), measure)


def test_a_missing_curve_is_said():
    with pytest.raises(ValueError, match="a run with a curve of loss"):
        measured(replace(run(), curves={}), "mean_train_loss")
