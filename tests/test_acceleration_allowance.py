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
    assert explain(fast).endswith(
        "because fewer than 125 more of these batches are to be expected, so that recording does not pay"
    )
    for a, b in zip(values(fast), values(plain), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, curve in expected.items():
        np.testing.assert_array_equal(found[name], curve)


@pytest.mark.parametrize(
    ("epochs", "whole", "held", "kinds"),
    [
        (1, 124, 3, (0, 0)),
        (1, 125, 3, (1, 0)),
        (25, 6, 3, (1, 0)),  # 25 short ones and 50 of validation do not come often enough
        (24, 5, 3, (0, 0)),  # 120 whole ones
        (42, 4, 13, (1, 1)),  # six whole validation batches an epoch
        (300, 1, 1, (2, 1)),  # every second batch is short
    ],
)
def test_a_fit_records_the_kinds_of_batches_that_come_often_enough(epochs, whole, held, kinds):
    model = accelerate(perceptron())
    x, y = np.repeat(X[:1], 2 * whole + 1, 0), np.repeat(Y[:1], 2 * whole + 1, 0)  # two a step, and one in the last
    fit(x, y, batch_size=2, epochs=epochs, validation_data=(X[:held], Y[:held]))(model)
    assert recordings(model) == kinds
    assert execution(model) == ("recorded" if kinds[0] else "keras")


def test_ever_new_shapes_are_recorded_once_at_most():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 400

        def __getitem__(self, index):
            return X[: 1 + index % 20], Y[: 1 + index % 20]  # 20 times each

    model = accelerate(perceptron())
    model.fit(Batches(), shuffle=False, verbose=0)
    assert recordings(model) == (1, 0)
    assert "other training batches: Keras' own step, because fewer than 125 more" in explain(model)


def test_a_second_fit_records_what_comes_in_it():
    model = accelerate(perceptron())
    steps(10)(model)
    fit(X, Y, batch_size=2, epochs=20)(model)  # another size
    assert recordings(model) == (2, 0) and "other" not in explain(model)
    model.compile(model.optimizer, model.loss)
    steps(10)(model)
    assert recordings(model) == (1, 0)


def test_what_a_fit_has_thrown_away_is_recorded_again_where_enough_is_ahead(tmp_path):
    for at, kinds in ((20, (0, 0)), (150, (1, 0))):  # of 240 or, later, of 360 steps
        model = accelerate(perceptron())
        count = []

        def change(batch, logs, at=at, model=model, count=count):
            count.append(batch)
            if len(count) == at:
                model.layers[1].note = at

        steps(10 if at == 20 else 15, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=change)])(model)
        assert recordings(model) == kinds, at
    model.save_weights(tmp_path / "a.weights.h5")
    model.load_weights(tmp_path / "a.weights.h5")  # which changes layers, too
    steps(10)(model)
    assert recordings(model) == (1, 0)


def test_a_value_that_changes_every_few_steps_is_not_recorded_again_and_again():
    model = accelerate(perceptron())
    count = []

    def change(batch, logs):
        count.append(batch)
        if len(count) % 30 == 0:
            model.layers[1].note = len(count)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(25, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=change)])(model)
    assert recordings(model) == (0, 0)


def test_short_fits_are_recorded_once_there_were_many():
    model = accelerate(perceptron())
    for before in range(0, 1500, 120):
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

    taken(1499)
    assert execution(model) == "keras" and "not known" in explain(model)
    taken(2)
    assert recordings(model) == ((0, 1) if call == "evaluate" else (1, 0))


def test_what_follows_a_fit_is_not_taken_for_it():
    model = perceptron()
    steps(50)(model)  # before the model is accelerated
    accelerate(model)
    model.train_on_batch(X, Y)
    assert "not known" in explain(model)
    steps(2)(model)
    assert "fewer than 125" in explain(model)
    model.train_on_batch(X, Y)
    assert "not known" in explain(model)


def test_a_history_of_the_users_own():
    model, history = accelerate(perceptron()), keras.callbacks.History()
    for known in ("fewer than 125", "not known"):  # Keras makes none, so the second call looks like none
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


class Loop(keras.layers.Layer):
    """As many operations as a recurrent layer has, and Python between them."""

    def call(self, x):
        for moment in range(100):
            x = keras.ops.tanh(x + moment)
        return x


@pytest.mark.parametrize("layer", [lambda: keras.layers.LSTM(2), Loop])
@pytest.mark.parametrize("given", [False, True])
def test_what_takes_long_to_record_is_left_to_keras_for_longer(layer, given):
    inputs = keras.Input((20, 6))
    x = keras.layers.Flatten()(layer()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    accelerate(model, steps=401 if given else None)
    fit(np.repeat(X[:, None], 20, 1), Y, batch_size=1, epochs=6)(model)
    assert execution(model) == "keras"
    assert "steps are ahead" in explain(model) if given else "more of these batches" in explain(model)


def test_compiling_anew_again_and_again_is_weighed_against_the_steps_that_were_given():
    model, found = accelerate(perceptron(), steps=800), []
    for _ in range(4):
        steps(2)(model)
        found.append(execution(model))
        model.compile(model.optimizer, model.loss)
    assert found == ["recorded", "recorded", "keras", "keras"]


def test_what_was_said_of_a_model_ends_when_it_is_compiled_anew():
    model = accelerate(perceptron(), mode="record")
    steps(1)(model)
    assert "recorded" in explain(model)
    model.compile("sgd", model.loss)
    assert explain(model) == "nothing recorded yet"


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
        for _ in range(1550):
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


def test_a_step_that_a_callback_takes_leaves_the_fit_what_it_was():
    model = accelerate(perceptron())

    def on_epoch_end(epoch, logs):
        model.train_on_batch(X, Y)

    steps(6, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)])(model)
    assert recordings(model) == (1, 0)
