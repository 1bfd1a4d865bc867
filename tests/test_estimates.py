"""Estimates come from runs of the same network here, else from the nearest, and say which."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodels.running.costs import network, passes
from kmodels.running.estimates import REFERENCE, Estimate, Speed, Speeds, likely_device, reference_rate, summed
from tests import simulated_runs
from tests.simulated_runs import BASE

OTHER = replace(BASE, model="alexnet", model_args={}, image_size=224)
MACS = {network(BASE): 1000, network(OTHER): 50_000}
HERE = {"device": "Example CPU", "backend": "torch"}


def run(rate=10_000.0, **changes):
    made = simulated_runs.run()
    on_images = passes(BASE).equivalent / rate
    seconds = {"build": 2.0, "fit": on_images + 3.0, "evaluate": 5.0}
    return replace(made, images_per_second=rate, seconds=seconds, **changes)


def test_a_run_like_a_stored_one_takes_as_long():
    made = run()
    estimate = Speeds.of_runs([made], MACS, **HERE).estimate(BASE)
    assert estimate == Estimate(pytest.approx(sum(made.seconds.values())), "measured")
    other = BASE.change(dropout=0.5, head="logits", learning_rate=1.0)  # costs the same
    assert Speeds.of_runs([made], MACS, **HERE).estimate(other) == estimate


def test_a_run_that_stopped_early_or_evaluated_fast_is_believed_too():
    made = replace(run(), seconds={"fit": 7.0})
    assert Speeds.of_runs([made], MACS, **HERE).estimate(BASE).seconds == pytest.approx(7.0)


def test_more_epochs_take_longer_but_are_built_once():
    speeds = Speeds.of_runs([run()], MACS, **HERE)
    once, twice = speeds.estimate(BASE).seconds, speeds.estimate(BASE.change(epochs=60)).seconds
    assert 1.9 * once - 10.0 < twice < 2 * once - 9.0


def test_of_several_runs_the_median_counts():
    runs = [run(rate) for rate in (9_000.0, 10_000.0, 100.0)]
    assert Speeds.of_runs(runs, MACS, **HERE).estimate(BASE).seconds == pytest.approx(
        Speeds.of_runs([run(9_000.0)], MACS, **HERE).estimate(BASE).seconds
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "CUDA: another"},
        {"backend": "jax"},
        {"diverged": "loss is nan in epoch 1"},
        {"images_per_second": 0.0},
        {"recipe": {"model": "lenet"}},
        {"recipe": {**BASE.as_dict(), "dataset": "another"}},
        {"recipe": {**BASE.as_dict(), "image_size": 99}},
    ],
)
def test_runs_that_say_nothing_of_this_machine_are_left_out(changes):
    assert Speeds.of_runs([replace(run(), **changes)], MACS, **HERE).known == ()


def test_another_network_is_scaled_by_its_operations():
    speeds = Speeds.of_runs([run()], MACS, **HERE)
    estimate = speeds.estimate(OTHER)
    assert estimate.basis == "scaled"
    assert estimate.seconds == pytest.approx(passes(OTHER).equivalent * 50 / 10_000 + 10.0)
    assert speeds.estimate(BASE.change(batch_size=64)).basis == "scaled"
    assert speeds.estimate(BASE.change(precision="mixed_bfloat16")).basis == "scaled"


def test_the_nearest_network_is_scaled_and_a_measured_one_beats_a_timed_one():
    near = Speed("near", 40_000, 128, "float32", 300.0, basis="timed")
    speeds = Speeds.of_runs([run()], MACS, **HERE).with_speeds([near])
    assert speeds.estimate(OTHER).seconds == pytest.approx(passes(OTHER).equivalent / 300 * 50 / 40)
    timed = replace(near, network=network(BASE), macs=1000)
    assert speeds.with_speeds([timed]).estimate(BASE).basis == "measured"
    only = Speeds((timed,), MACS)
    assert only.estimate(BASE) == Estimate(pytest.approx(passes(BASE).equivalent / 300), "timed")


def test_of_a_machine_that_nothing_is_known_of_two_cores_are_assumed():
    estimate = Speeds((), MACS).estimate(BASE)
    assert estimate.basis == "assumed"
    assert estimate.seconds > 0


@pytest.mark.parametrize(("macs", "rate"), REFERENCE)
def test_the_reference_is_what_was_measured(macs, rate):
    assert reference_rate(macs, 128) == pytest.approx(rate)
    assert reference_rate(macs, 16) == pytest.approx(0.6 * rate, rel=0.02)  # measured of MyConvNet: 801 of 1339
    assert reference_rate(macs, 512) == pytest.approx(rate)


def test_a_large_network_is_not_taken_to_be_as_slow_an_operation_as_a_small_one():
    (small, fast), (large, slow) = REFERENCE[0], REFERENCE[-1]
    half = Speeds((Speed("lenet", small, 128, "float32", fast / 2),), {network(BASE): large})
    assert half.estimate(BASE).seconds == pytest.approx(passes(BASE).equivalent / (slow / 2))


@given(st.integers(1, 10**11), st.integers(1, 4096))
def test_more_operations_never_take_less_of_one_known_network(macs, batch_size):
    recipe = BASE.change(batch_size=batch_size)
    known = (Speed("known", 1000, 128, "float32", 5000.0),)
    one, more = (Speeds(known, {network(BASE): n}).estimate(recipe).seconds for n in (macs, 2 * macs))
    assert 0 < one < more


def test_a_sum_says_what_it_comes_from():
    seconds, words = summed([Estimate(1.0, "scaled"), Estimate(2.0, "measured"), Estimate(4.0, "scaled")])
    assert seconds == 7.0
    assert words.startswith("1 as runs of the same network took here; 2 scaled by multiply-accumulates")


def test_the_device_is_named_as_runs_name_it():
    from kmodels.torch_step.device import processor

    assert likely_device() == f"CPU: {processor()}" or likely_device().startswith("CUDA: ")


def test_a_hidden_gpu_is_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert likely_device().startswith("CPU: ")
