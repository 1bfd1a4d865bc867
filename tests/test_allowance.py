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


def test_a_new_call_forgets_what_was_in_vain():
    made = allowance(1, 900)
    made.note("whole", training=True)
    made.changed()
    assert not allowed(made)
    made.expect(1, 900)
    assert allowed(made)


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
