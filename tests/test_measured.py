"""What is read of a run beside its scores."""

import math
from dataclasses import replace

import pytest
from simulated_runs import run

from kmodels.spec.claims import MEASURES
from kmodels.stats.measured import measured


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


def test_what_slows_late_has_fallen_before():
    early = replace(run(), curves={"loss": [2.0, 0.6, 0.2, 0.1, 0.0]})
    even = replace(run(), curves={"loss": [2.0, 1.5, 1.0, 0.5, 0.0]})
    assert measured(early, "late_train_loss_fall") == pytest.approx(0.3)  # from the second of five epochs on
    assert measured(even, "late_train_loss_fall") == pytest.approx(0.75)
    assert measured(replace(run(), curves={"loss": [2.0, 1.0]}), "late_train_loss_fall") == 1.0
    for flat in ([1.0], [1.0, 1.0], [1.0, 0.5, 1.1]):
        assert math.isnan(measured(replace(run(), curves={"loss": flat}), "late_train_loss_fall"))


def test_what_is_gained_late_is_gained_in_the_second_half():
    done = replace(run(), curves={"val_accuracy": [0.5, 0.7, 0.75, 0.8, 0.78]})
    assert measured(done, "late_accuracy_gain") == pytest.approx(0.08)
    assert measured(replace(run(), curves={"val_accuracy": [0.5]}), "late_accuracy_gain") == 0.0


def test_a_validation_loss_that_rises_again_has_passed_its_lowest():
    assert measured(replace(run(), curves={"val_loss": [1.0, 0.4, 0.7]}), "validation_loss_rise") == pytest.approx(0.3)
    assert measured(replace(run(), curves={"val_loss": [1.0, 0.7, 0.4]}), "validation_loss_rise") == 0.0


def test_the_sum_of_batch_losses_is_that_of_the_report():
    done = replace(run(), observations={"loss_sum": {"epochs": [150.1, 130.22897]}})
    assert measured(done, "train_loss_sum") == 130.22897
    with pytest.raises(ValueError, match="expected a run that observed loss_sum"):
        measured(run(), "train_loss_sum")


@pytest.mark.parametrize("measure", [name for name, kind in MEASURES.items() if not kind.spread])
def test_a_diverged_run_has_no_number(measure):
    assert math.isnan(measured(replace(run(), diverged="in epoch 1"), measure))


@pytest.mark.parametrize("measure", ["accuracy_gap", "test_nll"])
def test_a_missing_score_is_said(measure):
    with pytest.raises(ValueError, match="measure: expected one of validation_accuracy"):
        measured(run(), measure)


def test_epochs_until_an_accuracy_is_reached_count_from_one_and_end_beyond_the_last():
    done = replace(run(), curves={"val_accuracy": [0.5, 0.9, 0.89, 0.95]})
    assert measured(done, "epochs_to_50") == 1
    assert measured(done, "epochs_to_90") == 2
    assert measured(done, "epochs_to_95") == 4
    assert measured(done, "epochs_to_98") == 5


def test_a_swing_is_the_mean_step_from_epoch_to_epoch():
    done = replace(run(), curves={"val_accuracy": [0.5, 0.75, 0.5], "val_loss": [1.0, 3.0, 2.5]})
    assert measured(done, "validation_accuracy_swing") == pytest.approx(0.25)
    assert measured(done, "validation_loss_swing") == pytest.approx(1.25)
    assert math.isnan(measured(replace(done, curves={"val_loss": [1.0]}), "validation_loss_swing"))


def test_the_maximum_of_the_test_accuracy_is_that_of_the_images_that_were_looked_at():
    watched = replace(run(), curves={"val_accuracy": [0.99, 0.5], "test_accuracy": [0.7, 0.8]})
    assert measured(watched, "maximum_test_accuracy") == 0.8
    on_test = {**watched.recipe, "split": {"kind": "test"}}
    validated = replace(watched, recipe=on_test, curves={"val_accuracy": [0.6, 0.5]})
    assert measured(validated, "maximum_test_accuracy") == 0.6
    with pytest.raises(ValueError, match="a run with a curve of test_accuracy"):
        measured(run(), "maximum_test_accuracy")


def test_what_report_cs_test_costs():
    done = run(test_accuracy=0.75, test_accuracy_training_mode_sampled=0.5)
    assert measured(done, "test_accuracy_lost") == 0.25


def test_a_missing_curve_is_said():
    with pytest.raises(ValueError, match="a run with a curve of loss"):
        measured(replace(run(), curves={}), "mean_train_loss")


def test_speed_and_memory_are_those_of_the_run():
    done = replace(run(), images_per_second=812.5, peak_memory_bytes=3 * 2**29)
    assert measured(done, "images_per_second") == 812.5
    assert measured(done, "peak_memory") == 1.5


def test_the_best_epoch_is_that_of_the_curve():
    done = replace(run(), curves={"val_accuracy": [0.5, 0.8, 0.7]})
    assert measured(done, "best_validation_accuracy") == 0.8


def test_observations_are_measured():
    norms = {"layers": ["a", "b", "c", "d"], "kernel_sizes": [3, 1, 5, 0]}
    seen = {"size": {"parameters": 131_127, "macs": 2_500_000}}
    done = replace(
        run(),
        observations={**seen, "gradient_norms": {**norms, "norms": [[10, 7, 1, 7], [1, 7, 100, 7], [1, 7, 1, 7]]}},
    )
    assert measured(done, "parameters") == 131.127
    assert measured(done, "macs") == 2.5
    assert measured(done, "gradient_ratio") == pytest.approx(-1.0)  # the mean of -2 and 0, of a and c
    assert measured(done, "initial_gradient_ratio") == pytest.approx(1.0)
    gone = replace(run(), observations={"gradient_norms": {**norms, "norms": [[1.0, 7, 100, 7], [0.0, 7, 100, 7]]}})
    assert math.isnan(measured(gone, "gradient_ratio"))
    assert measured(gone, "initial_gradient_ratio") == pytest.approx(-2.0)


def test_a_sum_of_losses_that_was_too_large_to_store_is_no_number():
    for sums, expected in (([9.0, 7.5], 7.5), ([9.0, None], math.nan)):
        done = replace(run(), observations={"loss_sum": {"epochs": sums}})
        assert measured(done, "train_loss_sum") == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("measure", ["gradient_ratio", "initial_gradient_ratio", "parameters", "macs"])
def test_a_missing_observation_is_said(measure):
    with pytest.raises(ValueError, match="measure: expected a run that observed"):
        measured(run(), measure)
