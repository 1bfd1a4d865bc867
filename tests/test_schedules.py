"""The learning rate of every epoch is that of PyTorch's scheduler, and a schedule can be recorded and saved."""

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodels.schedules import Cosine, Exponential, MultiStepLR, StepLR, WarmUp

RATE, PER_EPOCH = 0.1, 7
SCHEDULES = [
    StepLR(RATE, PER_EPOCH, step_epochs=2, gamma=0.9),
    MultiStepLR(RATE, PER_EPOCH, milestones=[2, 3, 5], gamma=0.1),
    Exponential(RATE, PER_EPOCH, gamma=0.45),
    Cosine(RATE, PER_EPOCH, epochs=6, final_fraction=0.1),
    WarmUp(Cosine(RATE, PER_EPOCH, epochs=4), steps=2 * PER_EPOCH),
    WarmUp(Exponential(RATE, PER_EPOCH, gamma=0.9), steps=5),
]


def rates(schedule, steps):
    return np.array([float(keras.ops.convert_to_numpy(schedule(step))) for step in steps])


def torch_rates(make, count, rate=RATE):
    """The rates of PyTorch's scheduler over as many of its steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = make(optimizer)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


per_epoch = st.integers(1, 3123)
gammas = st.floats(0.05, 1.0)


def assert_constant_inside_epochs(schedule, steps_per_epoch, expected):
    for offset in (0, steps_per_epoch // 2, steps_per_epoch - 1):
        steps = np.arange(len(expected)) * steps_per_epoch + offset
        np.testing.assert_allclose(rates(schedule, steps), expected, rtol=1e-5)


@settings(max_examples=20)
@given(per_epoch, st.integers(1, 10), gammas)
def test_steps_are_those_of_step_lr(steps_per_epoch, every, gamma):
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, every, gamma), 12)
    assert_constant_inside_epochs(StepLR(RATE, steps_per_epoch, every, gamma), steps_per_epoch, expected)


@settings(max_examples=20)
@given(per_epoch, st.sets(st.integers(1, 12), min_size=1), gammas)
def test_milestones_are_those_of_multi_step_lr(steps_per_epoch, milestones, gamma):
    milestones = sorted(milestones)
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, milestones, gamma), 14)
    assert_constant_inside_epochs(MultiStepLR(RATE, steps_per_epoch, milestones, gamma), steps_per_epoch, expected)


@settings(max_examples=20)
@given(per_epoch, gammas)
def test_the_exponential_decay_is_that_of_exponential_lr(steps_per_epoch, gamma):
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma), 10)
    assert_constant_inside_epochs(Exponential(RATE, steps_per_epoch, gamma), steps_per_epoch, expected)


@settings(max_examples=20)
@given(per_epoch, st.integers(1, 20), st.floats(0.0, 1.0))
def test_epochs_start_with_the_rates_of_cosine_annealing_lr(steps_per_epoch, epochs, final):
    make = lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, epochs, eta_min=RATE * final)  # noqa: E731
    expected = torch_rates(make, epochs + 1)
    schedule = Cosine(RATE, steps_per_epoch, epochs, final)
    steps = np.arange(epochs + 1) * steps_per_epoch
    np.testing.assert_allclose(rates(schedule, steps), expected, rtol=1e-5, atol=1e-9)
    assert rates(schedule, [epochs * steps_per_epoch + 999])[0] == pytest.approx(RATE * final, rel=2e-6)


def test_the_cosine_falls_with_every_step():
    assert np.all(np.diff(rates(Cosine(RATE, PER_EPOCH, epochs=3), range(3 * PER_EPOCH + 1))) < 0)


@pytest.mark.parametrize("steps", [1, 5, 14])
def test_warming_up_and_a_cosine_are_pytorchs_two_schedulers_in_a_row(steps):
    total = 6 * PER_EPOCH

    def make(optimizer):
        rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / steps, total_iters=max(steps - 1, 1))
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total - steps)
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[steps])

    schedule = WarmUp(Cosine(RATE, PER_EPOCH, epochs=(total - steps) / PER_EPOCH), steps)
    np.testing.assert_allclose(rates(schedule, range(total)), torch_rates(make, total), rtol=1e-5, atol=1e-8)


@pytest.mark.backend
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_every_backend_gives_the_rates_that_arithmetic_in_float64_gives(schedule):
    epoch = np.arange(60) // PER_EPOCH
    step = np.arange(60)
    expected = {
        "StepLR": RATE * 0.9 ** (epoch // 2),
        "MultiStepLR": RATE * 0.1 ** np.searchsorted([2, 3, 5], epoch, side="right"),
        "Exponential": RATE * 0.45**epoch,
        "Cosine": RATE * (0.1 + 0.9 * (1 + np.cos(np.pi * np.minimum(step / 42, 1))) / 2),
    }.get(type(schedule).__name__)
    if expected is None and schedule.steps == 5:
        expected = np.where(step < 5, (step + 1) / 5, 0.9 ** ((step - 5) // PER_EPOCH)) * RATE
    elif expected is None:
        fall = (1 + np.cos(np.pi * np.clip((step - 14) / 28, 0, 1))) / 2
        expected = RATE * np.where(step < 14, (step + 1) / 14, fall)
    # as an optimizer asks: with its own step counter
    counter = keras.Variable(0, dtype="int32", trainable=False)
    found = []
    for each in step:
        counter.assign(int(each))
        found.append(schedule(counter))
    assert all(keras.backend.standardize_dtype(rate.dtype) == "float32" and rate.shape == () for rate in found)
    found = [float(keras.ops.convert_to_numpy(rate)) for rate in found]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.backend
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_a_schedule_survives_its_config(schedule):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    np.testing.assert_array_equal(rates(again, range(50)), rates(schedule, range(50)))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="records PyTorch operations")
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_a_schedule_can_be_recorded(schedule):
    from torch.fx.experimental.proxy_tensor import make_fx

    recorded = make_fx(schedule, tracing_mode="fake")(torch.tensor(3, dtype=torch.int32))
    found = [float(recorded(torch.tensor(step, dtype=torch.int32))) for step in range(50)]
    np.testing.assert_array_equal(found, rates(schedule, range(50)))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: StepLR(0.0, 1, 1, 0.5), "learning_rate"),
        (lambda: StepLR(0.1, 0, 1, 0.5), "steps_per_epoch"),
        (lambda: StepLR(0.1, 1, 0, 0.5), "step_epochs"),
        (lambda: StepLR(0.1, 1, 1, 1.5), "gamma"),
        (lambda: MultiStepLR(0.1, 1, []), "milestones"),
        (lambda: MultiStepLR(0.1, 1, [3, 3]), "milestones"),
        (lambda: Cosine(0.1, 1, 0), "epochs"),
        (lambda: Cosine(0.1, 1, 1, 2.0), "final_fraction"),
        (lambda: WarmUp(Cosine(0.1, 1, 1), 0), "steps"),
    ],
)
def test_a_number_outside_its_range_is_named(make, name):
    with pytest.raises(ValueError, match=f"{name}: expected .* Received: {name}="):
        make()
