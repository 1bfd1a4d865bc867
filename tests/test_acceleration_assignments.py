"""What a step assigns is written back, or the step is Keras' own."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("recorded steps are PyTorch's", allow_module_level=True)

from kmodels import accelerate, explain

L = keras.layers
TRAINED_BY = []
OUTSIDE = keras.Variable(0.0, trainable=False, name="outside")


class Clipped(L.Dense):
    """Keeps its kernel small by assigning it in `call`."""

    def call(self, inputs, training=None):
        self.kernel.assign(keras.ops.clip(self.kernel, -0.1, 0.1))
        return super().call(inputs)


class Counts(L.Layer):
    """Counts its calls in a variable of its own."""

    def build(self, input_shape):
        self.calls = self.add_weight(name="calls", initializer="zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs


def remembering_loss(y_true, y_pred):
    OUTSIDE.assign(keras.ops.mean(y_pred))
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def slowing_loss(y_true, y_pred):
    optimizer = TRAINED_BY[-1]
    optimizer._learning_rate.assign(0.1 / (1.0 + keras.ops.cast(optimizer.iterations, "float32")))
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def fitted(layer, loss, accelerated):
    keras.utils.set_random_seed(0)
    OUTSIDE.assign(0.0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L.Dense(1)(layer()(inputs)))
    model.compile(keras.optimizers.SGD(0.1), loss)
    TRAINED_BY.append(model.optimizer)
    if accelerated:
        accelerate(model, mode="record")
    x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    model.fit(x, x[:, :1], batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model, [*model.get_weights(), np.asarray(float(OUTSIDE.value))]


@pytest.mark.parametrize(
    ("layer", "loss", "cause"),
    [
        (lambda: Clipped(3, name="clipped"), "mse", "clipped/kernel, which the optimizer's update reads or changes"),
        (lambda: L.Dense(3), remembering_loss, "none of the model's"),
        (lambda: L.Dense(3), slowing_loss, "learning_rate, which the optimizer's update reads or changes"),
        (Counts, "mse", None),
    ],
)
def test_an_assignment_is_kept(layer, loss, cause):
    if cause is None:
        fast, weights = fitted(layer, loss, True)
        assert "recorded" in explain(fast)
    else:
        with pytest.warns(UserWarning, match=cause):
            fast, weights = fitted(layer, loss, True)
        assert cause in explain(fast)
    _, expected = fitted(layer, loss, False)
    for value, want in zip(weights, expected, strict=True):
        np.testing.assert_allclose(value, want, atol=1e-6)


def test_a_release_of_keras_that_lacks_a_name_takes_its_own_step(monkeypatch):
    monkeypatch.setattr("kmodels.torch_step.functions.update_rule", lambda optimizer: optimizer._no_such_name)
    with pytest.warns(UserWarning, match="this release of Keras is not known: .*_no_such_name"):
        _, weights = fitted(Counts, "mse", True)
    monkeypatch.undo()
    _, expected = fitted(Counts, "mse", False)
    for value, want in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(value, want)
