"""Which kinds of batches are worth a recording, by counts alone."""

import pytest

from kmodels.torch_step.allowance import Allowance


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


def test_one_more_recording_for_every_1500_steps_that_nobody_foretold():
    made, found = allowance(), []
    for step in range(1, 6001):
        made.note("kind", training=True)
        if allowed(made):
            found.append(step)
            made.spend("kind", training=True)
    assert found == [1500, 3000, 4500, 6000]


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
        made.expect(1, 750)
        calls.append(allowed(made))
        made.note("whole", training=True, steps=750)
    assert calls == [False, False, False, False, True]  # 3,001 steps: the one in vain, and the one that may be


@pytest.mark.parametrize(("steps", "changes"), [(400, 1), (799, 1), (800, 2), (4000, 10)])
def test_steps_that_are_given_pay_for_few_changes(steps, changes):
    made = Allowance(True, steps)
    for change in range(changes):
        assert allowed(made), change
        made.spend("whole", training=True)
        made.note("whole", training=True, steps=20)
        made.changed()
    assert made.reason("whole", training=True) == "what is recorded is lost too often for the steps ahead"
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


@pytest.mark.parametrize(("used", "again"), [(50, False), (399, False), (400, True)])
def test_what_is_compiled_anew_soon_after_it_was_recorded_was_in_vain(used, again):
    made = Allowance(True, 400)
    made.spend("whole", training=True)
    made.note("whole", training=True, steps=used)
    made.reset()
    assert allowed(made) == again
    made.reset()  # nothing has been recorded since
    assert allowed(made) == again


@pytest.mark.parametrize(("operations", "layers", "times"), [(0, 1, 1), (80, 2, 1), (81, 2, 2), (1800, 4, 12)])
def test_what_takes_many_operations_a_layer_needs_more_steps(operations, layers, times):
    made = Allowance(True, None)
    made.weigh(operations, layers)
    made.weigh(0, layers)  # of evaluation
    made.expect(1, 125 * times)
    assert not allowed(made)
    made.expect(1, 125 * times + 1)
    assert allowed(made)
    given = Allowance(True, 400 * times - 1)
    given.weigh(operations, layers)
    assert given.reason("a", training=True) == f"fewer than {400 * times:,} steps are ahead, so that no recording pays"
    made.reset()
    made.expect(1, 126)
    assert allowed(made)  # another loss may be another network
