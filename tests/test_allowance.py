"""Which kinds of batches are worth a recording, by counts alone."""

import keras
import pytest

from kmodels.torch_step.allowance import Allowance, patience


def allowance(epochs=None, steps=None):
    made = Allowance(True, None)
    made.expect(epochs, steps)
    return made


def allowed(made, kind="whole"):
    return made.reason(kind, training=True) is None


@pytest.mark.parametrize(
    ("epochs", "steps", "expected"),
    [
        (1, 125, False),  # the last of them may be a short one
        (1, 126, True),
        (2, 63, False),
        (2, 64, True),
        (124, 1, False),
        (125, 1, True),  # all of one kind, as no epoch has two batches
        (None, None, False),
    ],
)
def test_the_first_kind_counts_on_what_fit_says(epochs, steps, expected):
    assert allowed(allowance(epochs, steps)) == expected


def test_one_more_recording_for_every_thousand_steps_that_nobody_foretold():
    made, found = allowance(), []
    for step in range(1, 4001):
        made.note("kind", training=True)
        if allowed(made):
            found.append(step)
            made.spend("kind", training=True)
    assert found == [1000, 2000, 3000, 4000]


@pytest.mark.parametrize(("later", "again"), [(50, False), (124, False), (125, True)])
def test_what_was_thrown_away_soon_after_it_was_made_is_not_made_again(later, again):
    made = allowance(1, 900)
    made.note("whole", training=True, steps=300)
    made.spend("whole", training=True)
    made.note("whole", training=True, steps=later)
    made.changed()
    assert allowed(made) == again


def test_what_was_in_vain_is_tried_again_once_its_time_is_a_tenth():
    made = allowance(1, 900)
    made.spend("whole", training=True)
    made.note("whole", training=True)
    made.changed()
    calls = []
    for _ in range(5):
        made.expect(1, 500)
        calls.append(allowed(made))
        made.note("whole", training=True, steps=500)
    assert calls == [False, False, False, False, True]  # 2,001 steps: the one in vain, and the one that may be


@pytest.mark.parametrize(("steps", "changes"), [(400, 1), (799, 1), (800, 2), (4000, 10)])
def test_steps_that_are_given_pay_for_few_changes(steps, changes):
    made = Allowance(True, steps)
    for change in range(changes):
        assert allowed(made), change
        made.spend("whole", training=True)
        made.note("whole", training=True, steps=20)
        made.changed()
    assert made.reason("whole", training=True) == "what is recorded changes too often for the steps ahead"
    assert made.closed(training=True)


@pytest.mark.parametrize(("steps", "kinds"), [(400, 4), (799, 4), (800, 5), (4000, 13)])
def test_steps_that_are_given_pay_for_few_kinds(steps, kinds):
    made = Allowance(True, steps)
    for kind in range(kinds):
        assert allowed(made, kind), kind
        made.spend(kind, training=True)
    assert "for more there are too few steps ahead" in made.reason("another", training=True)
    assert all(allowed(made, kind) for kind in range(kinds))  # after a change between two calls
    assert not made.closed(training=True)


def test_recurrent_layers_need_more_steps_wherever_they_are():
    inputs = keras.Input((4, 3))
    inner = keras.Sequential([keras.layers.Bidirectional(keras.layers.GRU(2))])
    assert patience(keras.Model(inputs, keras.layers.Dense(1)(inner(inputs)))) == 16
    assert patience(keras.Model(inputs, keras.layers.Dense(1)(inputs))) == 1
    made = Allowance(True, None, 16)
    made.expect(1, 2000)
    assert not allowed(made)
    made.expect(1, 2001)
    assert allowed(made)
    given = Allowance(True, 6399, 16)
    assert given.reason("whole", training=True) == "fewer than 6,400 steps are ahead, so that no recording pays"
