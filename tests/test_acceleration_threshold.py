"""`accelerate(model)` where nobody says how many steps are ahead: short trainings are left to Keras."""

import warnings

import keras
import numpy as np
import pytest

from kmodels.acceleration import accelerate, execution, explain
from tests.accelerated import features, fit, only_torch, perceptron, trained, values

pytestmark = only_torch

X, Y = features()  # 24 rows: one step each with batches of 1


def steps(epochs: int, **options):
    return fit(X, Y, batch_size=1, epochs=epochs, **options)


def test_a_short_fit_is_that_of_keras_to_the_last_bit():
    make = lambda: perceptron(metrics=["accuracy"])  # noqa: E731
    plain, expected, _ = trained(make, steps(4, validation_data=(X, Y)))
    fast, found, causes = trained(make, steps(4, validation_data=(X, Y)), mode="auto")
    assert causes == [] and execution(fast) == "keras"
    assert explain(fast).endswith("Keras' own step, because only 96 steps lie ahead of it; from 100 on recording pays")
    for a, b in zip(values(fast), values(plain), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, curve in expected.items():
        np.testing.assert_array_equal(found[name], curve)


def test_a_fit_of_a_hundred_steps_is_recorded():
    model = accelerate(perceptron())
    fit(X[:20], Y[:20], batch_size=1, epochs=5)(model)
    assert execution(model) == "recorded"
    model.train_on_batch(X, Y)
    assert execution(model) == "recorded"


def test_short_fits_are_recorded_once_there_were_many():
    model = accelerate(perceptron())
    for before in (0, 96, 192):
        assert execution(model) == "keras", before
        steps(4)(model)
    assert execution(model) == "recorded"
    model.compile(model.optimizer, model.loss)
    steps(4)(model)
    assert execution(model) == "keras"


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # so does Keras end with any generator
@pytest.mark.parametrize("call", ["train_on_batch", "evaluate", "generator"])
def test_where_the_number_of_steps_is_not_known(call):
    model = accelerate(perceptron())

    def taken(count):
        if call == "train_on_batch":
            for _ in range(count):
                model.train_on_batch(X, Y)
        elif call == "evaluate":
            model.evaluate(np.repeat(X[:1], count, 0), np.repeat(Y[:1], count, 0), batch_size=1, verbose=0)
        else:
            model.fit((batch for batch in [(X, Y)] * count), shuffle=False, verbose=0)

    taken(199)
    assert execution(model) == "keras" and "not known" in explain(model)
    taken(2)
    assert execution(model) == "recorded"


def test_what_follows_a_fit_is_not_taken_for_it():
    model = perceptron()
    steps(50)(model)  # before the model is accelerated
    accelerate(model)
    model.train_on_batch(X, Y)
    assert "not known" in explain(model)
    steps(2)(model)
    assert "48 steps lie ahead" in explain(model)
    model.train_on_batch(X, Y)
    assert "not known" in explain(model)


def test_a_history_of_the_users_own():
    model, history = accelerate(perceptron()), keras.callbacks.History()
    for known in ("48 steps lie ahead", "not known"):  # Keras makes none, so the second call looks like none
        steps(2, callbacks=[history])(model)
        assert known in explain(model)


def test_steps_that_are_given_decide_alone():
    short, long = accelerate(perceptron(), steps=99), accelerate(perceptron(), steps=100)
    for model in (short, long):
        steps(10, validation_data=(X, Y))(model)
    assert (execution(short), execution(long)) == ("keras", "recorded")


def test_no_warning_about_what_is_not_tried():
    model = accelerate(perceptron(optimizer=keras.optimizers.RMSprop()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(4)(model)
    with pytest.warns(UserWarning, match="RMSprop"):
        steps(5)(model)
