"""`accelerate`: whatever is given to `fit` trains as Keras' own step trains, or is refused with one warning."""

import keras
import numpy as np
import pytest
import torch

from kmodels.acceleration import accelerate, execution, explain
from tests.accelerated import check, convnet, crossentropy, features, fit, images, only_torch, perceptron

pytestmark = [only_torch]

X, Y = features()
IMAGES, CLASSES = images()
EXACT = pytest.mark.parametrize("exact", [False, True], ids=["kernels", "exact"])


@EXACT
@pytest.mark.parametrize("make, x, y", [(perceptron, X, Y), (convnet, IMAGES, CLASSES)], ids=["dense", "images"])
def test_training_is_that_of_keras(make, x, y, exact):
    assert check(lambda: make(metrics=["accuracy"]), fit(x, y, validation_data=(x, y)), exact=exact) is None


@EXACT
@pytest.mark.parametrize(
    "options",
    [
        {"sample_weight": np.linspace(0.0, 2.0, len(X))},
        {"class_weight": {0: 0.5, 1: 1.0, 2: 3.0}},
        {"validation_data": (X[:7], Y[:7])},
        {"validation_data": (X[:7], Y[:7], np.linspace(0.0, 1.0, 7))},
        {"validation_split": 0.3},
        {"validation_data": (X, Y), "validation_steps": 2, "validation_batch_size": 4, "validation_freq": 2},
        {"steps_per_epoch": 2, "epochs": 4},
        {"initial_epoch": 1, "epochs": 3},
        {"shuffle": False, "batch_size": 100},
        {"callbacks": [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)]},
        {"callbacks": [keras.callbacks.EarlyStopping(monitor="loss", min_delta=10.0, patience=1)], "epochs": 6},
        {"callbacks": [keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=10.0, patience=1)], "epochs": 5},
        {"callbacks": [keras.callbacks.TerminateOnNaN()]},
    ],
    ids=lambda options: "-".join(options),
)
def test_arguments_of_fit(options, exact):
    make = lambda: perceptron(metrics=["accuracy"], weighted_metrics=["accuracy"])  # noqa: E731
    assert check(make, fit(X, Y, **options), exact=exact) is None


def test_sample_weights_reach_the_loss():
    one, other = (perceptron(), perceptron())
    other.set_weights(one.get_weights())
    fit(X, Y, shuffle=False)(accelerate(one, mode="record"))
    fit(X, Y, shuffle=False, sample_weight=np.where(Y == 0, 5.0, 0.0))(accelerate(other, mode="record"))
    assert np.abs(one.get_weights()[0] - other.get_weights()[0]).max() > 1e-3


def _checkpoint(path):
    return keras.callbacks.ModelCheckpoint(path, save_best_only=True, monitor="loss")


def test_model_checkpoint_keeps_the_weights_of_the_best_epoch(scratch):
    def train(model):
        path = scratch / "best.keras"
        fit(X, Y, callbacks=[_checkpoint(path)])(model)
        return keras.models.load_model(path).get_weights()

    assert check(perceptron, train) is None


@EXACT
def test_batch_methods(exact):
    def train(model):
        found = [model.train_on_batch(X[:9], Y[:9], return_dict=True) for _ in range(2)]
        found.append(model.train_on_batch(X, Y, sample_weight=np.linspace(0, 1, len(X)), return_dict=True))
        found.append(model.train_on_batch(X, Y, class_weight={0: 1.0, 1: 0.0, 2: 2.0}, return_dict=True))
        found.append(model.test_on_batch(X, Y, sample_weight=np.linspace(0, 1, len(X)), return_dict=True))
        return [
            found,
            model.predict_on_batch(X),
            model.predict(X, verbose=0, batch_size=7),
            model.evaluate(X, Y, verbose=0),
        ]

    assert check(lambda: perceptron(metrics=["accuracy"]), train, exact=exact) is None


@EXACT
def test_one_fit_after_another_with_everything_changed_in_between(exact, scratch):
    def train(model):
        losses = [fit(X, Y)(model).history["loss"]]
        model.set_weights([w * 0.9 for w in model.get_weights()])
        model.optimizer.learning_rate = 0.03
        losses += [fit(X, Y, batch_size=8)(model).history["loss"]]
        model.save_weights(scratch / f"{id(model)}.weights.h5")
        model.compile(keras.optimizers.Adam(0.001), crossentropy(), metrics=["accuracy"])
        losses += [fit(X, Y)(model).history["loss"]]
        model.load_weights(scratch / f"{id(model)}.weights.h5")
        model.optimizer.clipnorm = 0.01
        losses += [fit(X, Y)(model).history["loss"]]
        model.layers[1].kernel.assign(model.layers[1].kernel * 0.5)
        return [*losses, fit(X, Y)(model).history["loss"]]

    assert check(perceptron, train, exact=exact) is None


@pytest.mark.parametrize("steps", [1, 3, 4, 10])
def test_several_steps_per_execution_are_the_same_steps(steps):
    # Keras refuses more than one on this backend, so the plain copy is compiled with one
    def again(model, steps):
        model.compile(model.optimizer, model.loss, metrics=["accuracy"], steps_per_execution=steps)

    def train(model, steps=steps):
        again(model, steps)
        found = fit(X, Y, epochs=3, validation_data=(X, Y), callbacks=[])(model).history
        return [found, model.evaluate(X, Y, batch_size=7, verbose=0), model.predict(X, batch_size=7, verbose=0)]

    assert check(perceptron, train, stock=lambda model: train(model, 1)) is None


@pytest.mark.parametrize("kind", ["tf.data", "loader", "generator", "dataset", "tensors", "dictionary"])
def test_feeds(kind):
    def feed():
        if kind == "tf.data":
            tf = pytest.importorskip("tensorflow")
            return {"x": tf.data.Dataset.from_tensor_slices((X, Y, np.linspace(0, 1, len(X)))).batch(5)}
        if kind == "loader":
            pairs = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
            return {"x": torch.utils.data.DataLoader(pairs, batch_size=5)}
        if kind == "generator":
            return {
                "x": ((X[i : i + 5], Y[i : i + 5]) for _ in range(4) for i in range(0, 24, 5)),
                "steps_per_epoch": 5,
            }
        if kind == "dataset":

            class Pairs(keras.utils.PyDataset):
                def __len__(self):
                    return 5

                def __getitem__(self, i):
                    return X[i * 5 : i * 5 + 5], Y[i * 5 : i * 5 + 5], np.ones(len(X[i * 5 : i * 5 + 5]))

            return {"x": Pairs()}
        if kind == "tensors":
            return {"x": torch.from_numpy(X), "y": torch.from_numpy(Y), "batch_size": 5}
        return {"x": {"a": X}, "y": Y, "batch_size": 5}

    def make():
        inputs = keras.Input((6,), name="a")
        model = keras.Model({"a": inputs} if kind == "dictionary" else inputs, keras.layers.Dense(3)(inputs))
        model.compile("sgd", crossentropy(), metrics=["accuracy"])
        return model

    assert check(make, lambda model: model.fit(**feed(), epochs=2, verbose=0)) is None


@EXACT
@pytest.mark.parametrize(
    "x, y, loss",
    [
        (X.astype("float64"), Y.astype("uint8"), crossentropy()),
        (X.astype("float16"), Y.astype("int32"), crossentropy()),
        ((X * 50).astype("uint8"), Y.astype("float32"), crossentropy()),
        (X, np.eye(3)[Y], keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)),
        (X, np.eye(3, dtype="int64")[Y], "mse"),
        (X > 0, Y[:, None], crossentropy()),
    ],
    ids=["float64", "float16", "uint8", "one-hot", "integers", "booleans"],
)
def test_types_of_data(x, y, loss, exact):
    assert check(lambda: perceptron(loss=loss), fit(x, y), exact=exact) is None


def test_explain_and_execution_say_what_is_done():
    model = accelerate(perceptron(), mode="record")
    assert explain(model) == "nothing recorded yet"
    fit(X, Y)(model)
    assert execution(model) == "recorded"
    assert "training" in explain(model) and "recorded" in explain(model)
    with pytest.raises(ValueError, match="accelerate"):
        explain(perceptron())
    assert execution(perceptron()) == "keras"


@pytest.mark.parametrize(
    "options, name",
    [
        ({"mode": "fast"}, "mode"),
        ({"steps": 0}, "steps"),
        ({"steps": True}, "steps"),
        ({"exact": True, "mode": "compile"}, "exact"),
    ],
)
def test_arguments_outside_their_range_are_refused(options, name):
    with pytest.raises(ValueError, match=f"^{name}: .*Received: {name}="):
        accelerate(perceptron(), **options)


def test_a_model_that_is_not_built_is_refused():
    with pytest.raises(ValueError, match="built"):
        accelerate(keras.Sequential([keras.layers.Dense(2)]))
