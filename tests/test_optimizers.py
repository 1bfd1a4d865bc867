"""The optimizers give PyTorch's numbers, on every backend, compiled or not."""

import inspect

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodels import optimizers
from kmodels.schedules import StepLR
from tests.pytorch_reference import random_gradients, reference, start

STEPS = 25
TORCH = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW, "NAdam": torch.optim.NAdam, "SGD": torch.optim.SGD}
CASES = [
    ("Adam", {}),
    ("Adam", {"l2": 0.1, "global_clipnorm": 1.0}),
    ("Adam", {"weight_decay": 0.1, "epsilon": 1e-2, "beta_1": 0.0, "beta_2": 0.5}),
    ("AdamW", {"weight_decay": 0.01}),
    ("AdamW", {"weight_decay": 0.5, "l2": 0.1, "global_clipnorm": 0.3}),
    ("NAdam", {}),
    ("NAdam", {"l2": 0.1, "global_clipnorm": 1.0, "momentum_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "beta_1": 0.5}),
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "l2": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "global_clipnorm": 1.0}),
]
each_case = pytest.mark.parametrize(("kind", "options"), CASES, ids=lambda value: str(value))


def trained(optimizer, values, gradients):
    variables = [keras.Variable(value) for value in values]
    optimizer.build(variables)
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in step], variables)
    return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assert_close(found, expected, rate=0.0, count=STEPS):
    """Within float32 rounding: some units in the last place of the value and of what was added up to it."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 + 2e-6 * rate * count)


def torch_trained(kind, values, gradients, rate, options):
    parameters = [torch.nn.Parameter(torch.tensor(np.asarray(value, "float64"))) for value in values]
    theirs = {"lr": rate, "weight_decay": options.get("weight_decay") or options.get("l2", 0.0)}
    if kind == "NAdam":
        theirs["decoupled_weight_decay"] = bool(options.get("weight_decay"))
    if "beta_1" in options:
        theirs["betas"] = (options["beta_1"], options["beta_2"])
    for name, their_name in (("epsilon", "eps"), ("momentum_decay",) * 2, ("momentum",) * 2, ("nesterov",) * 2):
        if name in options:
            theirs[their_name] = options[name]
    optimizer = TORCH[kind](parameters, **theirs)
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = torch.tensor(np.asarray(gradient, "float64"))
        if options.get("global_clipnorm"):
            torch.nn.utils.clip_grad_norm_(parameters, options["global_clipnorm"])
        optimizer.step()
    return [parameter.detach().numpy() for parameter in parameters]


decays = st.sampled_from([{}, {"l2": 0.1}, {"l2": 1e-5}, {"weight_decay": 0.1}])
clipping = st.sampled_from([{}, {"global_clipnorm": 0.5}, {"global_clipnorm": 10.0}])
moments = st.fixed_dictionaries(
    {
        "beta_1": st.floats(0.0, 0.95),
        "beta_2": st.floats(0.5, 0.9999),
        "epsilon": st.sampled_from([1e-8, 1e-7, 1e-3]),
    }
)
buffers = st.one_of(st.just({}), st.fixed_dictionaries({"momentum": st.floats(0.05, 0.99), "nesterov": st.booleans()}))


@st.composite
def asked(draw):
    kind = draw(st.sampled_from(list(TORCH)))
    options = {**draw(decays), **draw(clipping), **(draw(buffers) if kind == "SGD" else draw(moments))}
    if kind == "AdamW":
        options = {**options, "l2": 0.0, "weight_decay": draw(st.floats(0.0, 0.2))}
    if kind == "Adam":
        options.pop("weight_decay", None)
    if kind == "SGD":
        options.pop("weight_decay", None)
    if kind == "NAdam":
        options["momentum_decay"] = draw(st.floats(0.0, 0.1))
    return kind, options


@settings(max_examples=25, derandomize=True)
@given(asked(), st.floats(1e-4, 0.05), st.integers(0, 1000))
def test_twenty_five_steps_are_those_of_torch_optim(asked, rate, seed):
    kind, options = asked
    values, gradients = start(seed), random_gradients(seed, STEPS)
    expected = torch_trained(kind, values, gradients, rate, options)
    # the reference that other backends are held to
    for a, b in zip(reference(kind, values, gradients, [rate] * STEPS, **options), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7)  # PyTorch keeps NAdam's product of momenta in float32
    found = trained(getattr(optimizers, kind)(rate, **options), values, gradients)
    assert_close(found, expected, rate)


@pytest.mark.backend
@each_case
def test_every_backend_follows_the_reference(kind, options):
    values, gradients = start(0), random_gradients(0, STEPS)
    found = trained(getattr(optimizers, kind)(0.01, **options), values, gradients)
    assert_close(found, reference(kind, values, gradients, [0.01] * STEPS, **options), 0.01)


@each_case
def test_one_variable_at_a_time_follows_the_reference(kind, options):
    """A subclass may change `update_step`, so its variables are never updated all at once."""

    class Own(getattr(optimizers, kind)):
        updates = 0

        def update_step(self, gradient, variable, learning_rate):
            self.updates += 1
            super().update_step(gradient, variable, learning_rate)

    values, gradients = start(0), random_gradients(0, STEPS)
    optimizer = Own(0.01, **options)
    found = trained(optimizer, values, gradients)
    assert optimizer.updates == STEPS * len(values)
    assert_close(found, reference(kind, values, gradients, [0.01] * STEPS, **options), 0.01)


@pytest.mark.backend
@each_case
def test_fit_follows_the_reference_with_a_schedule(kind, options):
    """Compiled on JAX and TensorFlow, where a Python number that should change would stay what it first was."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(16, 3)).astype("float32"), rng.normal(size=(16, 1)).astype("float32")
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    weights = [rng.normal(size=(3, 1)).astype("float32"), np.array([0.5], "float32")]
    model.set_weights(weights)
    schedule = StepLR(0.05, steps_per_epoch=2, step_epochs=2, gamma=0.5)
    model.compile(getattr(optimizers, kind)(schedule, **options), "mse")
    model.fit(x, y, batch_size=8, epochs=6, shuffle=False, verbose=0)

    values = weights
    history = []
    for step in range(12):
        part = slice(8 * (step % 2), 8 * (step % 2) + 8)
        inputs, wanted = x[part].astype("float64"), y[part].astype("float64")
        error = 2 * (inputs @ values[0] + values[1] - wanted) / 8
        history.append([inputs.T @ error, error.sum(axis=0)])
        rates = [0.05 * 0.5 ** (s // 4) for s in range(step + 1)]
        values = reference(kind, weights, history, rates, **options)
    for a, b in zip(model.get_weights(), values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.backend
@pytest.mark.parametrize("kind", TORCH)
def test_an_optimizer_survives_its_config(kind, tmp_path):
    options = {"l2": 0.1, "weight_decay": 0.2, "global_clipnorm": 3.0}
    more = {"momentum": 0.9, "nesterov": True} if kind == "SGD" else {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-5}
    if kind == "NAdam":
        more["momentum_decay"] = 0.1
    before = getattr(optimizers, kind)(StepLR(0.1, 5, 2, 0.5), **options, **more)
    for after in (
        keras.optimizers.deserialize(keras.optimizers.serialize(before)),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(before)),
        type(before).from_config(before.get_config()),
    ):
        assert type(after) is type(before)
        assert after.get_config() == before.get_config()
    assert before.get_config().items() >= {**options, **more}.items()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(before, "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").optimizer
    assert type(loaded) is type(before)
    for a, b in zip(loaded.variables, before.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))


@pytest.mark.backend
@pytest.mark.parametrize("kind", TORCH)
def test_decay_reaches_every_trainable_variable_and_no_other(kind):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 2.0, "float32"))
    zeros = [np.zeros(variable.shape, "float32") for variable in model.trainable_variables]
    optimizer = getattr(optimizers, kind)(0.1, weight_decay=0.5)
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.convert_to_tensor(zero) for zero in zeros], model.trainable_variables)
    assert len(model.trainable_variables) == 4
    for variable in model.trainable_variables:
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), 2.0 * 0.95, rtol=1e-6)
    for variable in model.non_trainable_variables:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), 2.0)


@pytest.mark.backend
def test_variables_can_be_kept_from_decay_and_l2():
    variables = [keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")]
    optimizer = optimizers.SGD(0.1, l2=0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros((1,)), keras.ops.zeros((1,))], variables)
    found = [float(keras.ops.convert_to_numpy(variable)[0]) for variable in variables]
    assert found == pytest.approx([0.95 * 0.95, 1.0])


@pytest.mark.parametrize("kind", TORCH)
def test_defaults_are_pytorchs(kind):
    optimizer = getattr(optimizers, kind)()
    theirs = TORCH[kind]([torch.nn.Parameter(torch.zeros(1))]).defaults
    assert float(optimizer.learning_rate) == pytest.approx(theirs["lr"])
    if kind == "SGD":
        assert (optimizer.momentum, optimizer.nesterov) == (theirs["momentum"], theirs["nesterov"])
    else:
        assert (optimizer.beta_1, optimizer.beta_2) == theirs["betas"]
        assert optimizer.epsilon == theirs["eps"]
    assert (optimizer.weight_decay or optimizer.l2) == theirs["weight_decay"]
    if kind == "NAdam":
        assert optimizer.momentum_decay == theirs["momentum_decay"]


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        ("Adam", "beta_1", 1.0),
        ("Adam", "beta_2", -0.1),
        ("Adam", "epsilon", -1e-8),
        ("AdamW", "weight_decay", -0.1),
        ("NAdam", "momentum_decay", -1.0),
        ("SGD", "momentum", 1.0),
        ("SGD", "nesterov", True),
        ("SGD", "l2", float("nan")),
        ("SGD", "global_clipnorm", 0.0),
    ],
)
def test_a_number_outside_its_range_is_named(kind, argument, value):
    assert argument in inspect.signature(getattr(optimizers, kind)).parameters
    with pytest.raises(ValueError, match=rf"{argument}: expected .* Received: {argument}="):
        getattr(optimizers, kind)(0.1, **{argument: value})
