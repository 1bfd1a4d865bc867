"""A few steps tell a network's speed, where no run has and where they are few seconds."""

import pytest

from kmodels import data
from kmodels.running import timing
from kmodels.running.costs import network
from kmodels.running.counting import counted
from kmodels.running.estimates import Speed, Speeds
from tests.tiny_experiment import BASE


@pytest.fixture(scope="module")
def digits():
    return {"digits": data.load("digits", report=lambda _: None)}


LARGER = BASE.change(batch_size=48)
SPEEDS = Speeds((), counted([BASE]))


def test_each_network_and_batch_is_timed_once_and_cheapest_first(digits, monkeypatch):
    timed = []
    monkeypatch.setattr(timing, "measure_rate", lambda recipe, *_, **__: timed.append(recipe.batch_size) or 100.0)
    speeds = timing.timed([LARGER, BASE, BASE.change(dropout=0.5)], digits, SPEEDS)
    assert timed == [32, 48]
    assert {speeds.estimate(recipe).basis for recipe in (BASE, LARGER)} == {"timed"}


def test_what_is_known_is_not_timed(digits, monkeypatch):
    monkeypatch.setattr(timing, "measure_rate", lambda *_, **__: pytest.fail("timed"))
    known = SPEEDS.with_speeds([Speed(network(BASE), 1000, 32, "float32", 100.0)])
    assert timing.timed([BASE], digits, known) is known


def test_what_would_take_long_is_scaled_instead(digits, monkeypatch):
    monkeypatch.setattr(timing, "measure_rate", lambda *_, **__: pytest.fail("timed"))
    slow = SPEEDS.with_speeds([Speed("slow", 1000, 32, "float32", 1e-3)])
    assert timing.timed([BASE], digits, slow) is slow
    assert timing.timed([BASE], digits, SPEEDS, seconds=-1.0) is SPEEDS


def test_a_network_that_cannot_be_built_is_left_to_its_run(digits, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no such network")

    monkeypatch.setattr(timing, "measure_rate", broken)
    assert timing.timed([BASE], digits, SPEEDS) is SPEEDS


def test_a_rate_is_measured(digits):
    speeds = timing.timed([BASE], digits, SPEEDS)
    assert speeds.known[0].images_per_second > 0
