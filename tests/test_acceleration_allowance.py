"""`accelerate(model)` where nobody says how many steps are ahead: short trainings are left to Keras."""

import warnings

import keras
import numpy as np
import pytest

from kmodels.acceleration import accelerate, execution, explain
from tests.accelerated import features, fit, only_torch, perceptron, trained, values

pytestmark = only_torch

X, Y = features()  # 24 rows: one step each with batches of 1


def recordings(model):
    """How many kinds of training batches and of evaluation batches were recorded."""
    lines = explain(model).splitlines()
    return tuple(sum(line.startswith(f"  {kind}: ") for line in lines) for kind in ("training", "evaluation"))


def steps(epochs: int, **options):
    return fit(X, Y, batch_size=1, epochs=epochs, **options)


def test_a_short_fit_is_that_of_keras_to_the_last_bit():
    make = lambda: perceptron(metrics=["accuracy"])  # noqa: E731
    plain, expected, _ = trained(make, steps(5, validation_data=(X, Y)))
    fast, found, causes = trained(make, steps(5, validation_data=(X, Y)), mode="auto")
    assert causes == [] and execution(fast) == "keras"
    assert explain(fast).endswith("because it has 120 steps ahead, and every recording needs 125 to pay")
    for a, b in zip(values(fast), values(plain), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, curve in expected.items():
        np.testing.assert_array_equal(found[name], curve)


def test_a_fit_records_as_many_kinds_of_batches_as_its_steps_pay_for():
    expected = {124: (0, 0), 125: (1, 0), 249: (1, 0), 250: (1, 1), 375: (2, 1), 500: (2, 2)}
    for count, kinds in expected.items():
        model = accelerate(perceptron())
        x, y = np.repeat(X[:1], count * 2 - 1, 0), np.repeat(Y[:1], count * 2 - 1, 0)  # two a step, the last one short
        fit(x, y, batch_size=2, epochs=1, validation_data=(X[:3], Y[:3]))(model)
        assert recordings(model) == kinds, count
        assert execution(model) == ("recorded" if kinds[0] else "keras")
    model.train_on_batch(X, Y)  # a kind that did not come before
    assert recordings(model) == kinds and "other training batches: Keras' own step, because it is not" in explain(model)
    fit(x, y, batch_size=2, epochs=1)(model)
    model.train_on_batch(X, Y)
    assert recordings(model) == (3, 2)


def test_short_fits_are_recorded_once_there_were_many():
    model = accelerate(perceptron())
    for before in range(0, 700, 120):
        assert execution(model) == "keras", before
        steps(5)(model)
    assert execution(model) == "recorded"
    model.compile(model.optimizer, model.loss)
    steps(5)(model)
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

    taken(699)
    assert execution(model) == "keras" and "not known" in explain(model)
    taken(2)
    assert execution(model) == "recorded"


def test_a_model_that_is_only_evaluated_is_recorded_after_two_turns():
    model = accelerate(perceptron())
    x, y = np.repeat(X[:1], 1401, 0), np.repeat(Y[:1], 1401, 0)
    model.evaluate(x[:1400], y[:1400], batch_size=1, verbose=0)
    assert recordings(model) == (0, 0)
    model.evaluate(x[:1], y[:1], batch_size=1, verbose=0)
    assert recordings(model) == (0, 1)


def test_what_follows_a_fit_is_not_taken_for_it():
    model = perceptron()
    steps(50)(model)  # before the model is accelerated
    accelerate(model)
    model.train_on_batch(X, Y)
    assert "not known" in explain(model)
    steps(2)(model)
    assert "48 steps ahead" in explain(model)
    model.train_on_batch(X, Y)
    assert "not known" in explain(model)


def test_a_history_of_the_users_own():
    model, history = accelerate(perceptron()), keras.callbacks.History()
    for known in ("48 steps ahead", "not known"):  # Keras makes none, so the second call looks like none
        steps(2, callbacks=[history])(model)
        assert known in explain(model)


def test_steps_that_are_given_decide_alone():
    short, long = accelerate(perceptron(), steps=399), accelerate(perceptron(), steps=400)
    for model in (short, long):
        fit(X, Y, batch_size=5, epochs=2, validation_data=(X, Y))(model)
    assert (recordings(short), recordings(long)) == ((0, 0), (2, 2))
    assert "fewer than 400 steps" in explain(short)
    steps(40)(short)
    assert recordings(short) == (0, 0)


def test_no_warning_about_what_is_not_tried():
    model = accelerate(perceptron(optimizer=keras.optimizers.RMSprop()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(5)(model)
    with pytest.warns(UserWarning, match="RMSprop"):
        steps(6)(model)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_a_training_that_is_recorded_on_its_way_is_that_of_keras(steps_per_execution):
    def batches():
        generator = np.random.default_rng(0)
        for _ in range(750):
            yield generator.normal(size=(4, 6)).astype("float32"), generator.integers(0, 3, 4)

    def make(count=1):
        return perceptron(
            optimizer=keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 50, 0.8), momentum=0.9),
            hidden={"kernel_regularizer": keras.regularizers.L2(1e-3)},
            metrics=["accuracy"],
            steps_per_execution=count,
        )

    train = lambda model: model.fit(batches(), shuffle=False, verbose=0)  # noqa: E731
    plain, expected, _ = trained(make, train)
    fast, found, causes = trained(lambda: make(steps_per_execution), train, mode="auto")
    assert causes == [] and execution(fast) == "recorded"
    for a, b, variable in zip(values(fast), values(plain), [*plain.variables, *plain.optimizer.variables], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=variable.path)
    for name, curve in expected.items():
        np.testing.assert_allclose(found[name], curve, rtol=1e-4)


def test_a_history_that_is_none():
    model = accelerate(perceptron())
    model.history = steps(2)(model).history  # as some keep it: a dictionary
    model.train_on_batch(X, Y)
    assert "not known" in explain(model)


def test_an_evaluation_with_a_history_is_no_training():
    model = accelerate(perceptron())
    model.evaluate(
        np.repeat(X, 5, 0), np.repeat(Y, 5, 0), batch_size=1, callbacks=[keras.callbacks.History()], verbose=0
    )
    model.train_on_batch(X, Y)
    assert "not known" in explain(model)


def test_a_step_that_a_callback_takes_changes_nothing_about_the_fit():
    model = accelerate(perceptron())
    first = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: model.train_on_batch(X, Y))
    steps(6, callbacks=[first])(model)
    assert execution(model) == "recorded"
