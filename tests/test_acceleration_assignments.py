"""What a step assigns is written back, or the step is Keras' own."""

import sys
import types
import warnings

import keras
import numpy as np
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("recorded steps are PyTorch's", allow_module_level=True)

from kmodels import accelerate, explain
from kmodels.acceleration import execution, first_non_finite_step

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


class Gone:
    """A private name that Keras still finds, and kmodels does not, as if Keras had renamed it."""

    def __init__(self, name, held):
        self.name, self.held = name, held

    def __get__(self, instance, owner):
        if "torch_step" in sys._getframe(1).f_code.co_filename:
            raise AttributeError(f"no {self.name}")
        return self.held.__get__(instance, owner)


def falls_back(missing):
    """Trains as Keras does, with one warning that names what is missing, which `explain` says again."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, weights = fitted(Counts, "mse", True)
    said = [str(w.message) for w in caught if "kmodels" in str(w.message)]
    assert len(said) == 1 and said[0].startswith(f"kmodels.accelerate: Keras' own step is used for {model.name}: ")
    assert missing in said[0]
    cause = said[0].partition(f"{model.name}: ")[2]
    assert explain(model) == f"{model.name}: Keras' own step, because {cause}"
    assert execution(model) == "keras" and first_non_finite_step(model) is None
    _, expected = fitted(Counts, "mse", False)
    for value, want in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(value, want)
    return cause


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (keras.Model, "_symbolic_build"),  # looked for by `accelerate`, all others by the first step
        (keras.Model, "_flatten_layers"),
        (keras.Model, "_compute_loss"),
        (keras.Model, "_clear_losses"),
        (keras.optimizers.SGD, "_get_current_learning_rate"),
    ],
)
def test_a_method_of_keras_that_is_not_there_is_a_cause(kind, name, monkeypatch):
    owner = next(base for base in kind.__mro__ if name in vars(base))
    monkeypatch.setattr(owner, name, Gone(name, vars(owner)[name]))
    falls_back(name)


def test_a_name_that_is_gone_when_accelerate_is_called_is_a_cause(monkeypatch):
    owner = next(base for base in keras.Model.__mro__ if "_symbolic_build" in vars(base))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L.Dense(1)(inputs))
    with monkeypatch.context() as without:
        without.delattr(owner, "_symbolic_build")
        with pytest.warns(UserWarning, match="this release of Keras is not known: .*_symbolic_build"):
            assert accelerate(model) is model
    assert "this release of Keras is not known" in explain(model)
    assert explain(accelerate(model)) == "nothing recorded yet"


@pytest.mark.parametrize(
    ("module", "name", "anew"),
    [
        ("data_adapter_utils", "unpack_x_y_sample_weight", ()),
        ("data_adapter", "DataAdapter", ("entry", "functions", "keras_internals")),  # looked for where it is imported
    ],
)
def test_a_module_of_keras_that_is_elsewhere_is_a_cause(module, name, anew, monkeypatch):
    path = f"keras.src.trainers.data_adapters.{module}"
    monkeypatch.setitem(sys.modules, path, types.ModuleType(path))  # Keras has the true one already
    for part in anew:
        monkeypatch.delitem(sys.modules, f"kmodels.torch_step.{part}", raising=False)
    assert falls_back(name).startswith(f"this release of Keras is not known: expected one that has {path}.{name}, as")
