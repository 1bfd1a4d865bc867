"""Nothing is begun that would not end in time, by estimates that finished runs correct."""

from dataclasses import replace

import pytest

from kmodels.running.budget import Budget
from kmodels.running.costs import network, passes
from kmodels.running.estimates import Speed, Speeds
from kmodels.spec.tasks import Task
from tests import simulated_runs
from tests.simulated_runs import BASE

SECONDS = 100.0
SPEEDS = Speeds(
    (Speed(network(BASE), 1000, 128, "float32", passes(BASE).equivalent / SECONDS, basis="timed"),),
    {network(BASE): 1000},
)
TASK = Task(experiment="A-x", cell="c", protocol="report", recipe=BASE, seed=0, fold=0)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("budget", "fits"), [(99.0, False), (100.1, True)])
def test_a_run_fits_if_it_ends_in_time(budget, fits):
    assert Budget(budget, SPEEDS, clock=Clock()).fits([TASK]) is fits


def test_time_goes_by_from_when_the_call_began():
    clock = Clock()
    budget = Budget(250.0, SPEEDS, clock=clock, began=960.0)
    assert budget.fits([TASK, TASK])
    assert not budget.fits([TASK, TASK, TASK])
    clock.now += 115.0
    assert not budget.fits([TASK])


def test_a_run_that_took_longer_than_expected_corrects_the_estimate():
    budget = Budget(150.0, SPEEDS, clock=Clock())
    slow = replace(simulated_runs.run(), images_per_second=passes(BASE).equivalent / 200, seconds={"fit": 200.0})
    assert budget.fits([TASK])
    budget.learn(slow)
    assert not budget.fits([TASK])


def test_without_a_limit_everything_fits():
    assert Budget(None, SPEEDS, clock=Clock()).fits([TASK] * 10**6)
