"""Replayed steps, with a stand-in for the GPU's graph: a function that is run again on the buffers of its capture."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("recorded steps are PyTorch's", allow_module_level=True)

import torch

from kmodels.acceleration import accelerate
from kmodels.torch_step.cuda_graph import Replays, captured
from kmodels.torch_step.functions import StepFunctions


def run_again(steps):
    steps()  # a warm-up, which must not count
    steps()
    return steps


def network(seed):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(5, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], steps_per_execution=3)
    return accelerate(model, mode="record")


def fitted(model):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 6)).astype("float32"), rng.integers(0, 3, 80)
    return model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history


# Keras says so on every backend where the batches of an epoch are no multiple of steps_per_execution.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_replayed_steps_are_the_steps():
    plain, replayed = network(0), network(0)
    replays = Replays(run_again)
    functions = StepFunctions(replayed, mode="record", steps=None, kernels=True, replays=replays)
    replayed.__dict__["make_train_function"] = lambda force=False: setattr(replayed, "train_function", functions.train)
    assert fitted(plain) == fitted(replayed)
    for a, b in zip(plain.get_weights(), replayed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(replays) == 2  # three steps at once, and the one that an epoch of ten leaves over
    assert "replayed as a CUDA graph" in "\n".join(functions.describe())


def test_a_capture_counts_as_no_step_and_copies_what_changes():
    state, resident = torch.zeros(2), torch.tensor([10.0, 20.0])

    def step(total, shared, given):
        total.add_(shared + given)
        return (total * 1,)

    replay = captured(step, [state], [[resident, torch.ones(2)]] * 2, resident=1, capture=run_again)
    assert state.tolist() == [0.0, 0.0]
    (first,) = replay([[resident, torch.ones(2)], [resident, torch.zeros(2)]])
    assert state.tolist() == first.tolist() == [21.0, 41.0]
    replay([[resident, torch.zeros(2)]] * 2)
    assert first.tolist() == [21.0, 41.0]  # a copy


def test_a_capture_draws_nothing_from_the_generator():
    def step(total, given):
        total.add_(torch.rand(2) * given)
        return (total * 1,)

    torch.manual_seed(0)
    expected = [torch.rand(2), torch.rand(2)]
    torch.manual_seed(0)
    state = torch.zeros(2)
    replay = captured(step, [state], [[torch.ones(2)]] * 2, resident=0, capture=run_again)
    replay([[torch.ones(2)]] * 2)
    torch.testing.assert_close(state, sum(expected))

    def broken(total, given):
        torch.rand(2)
        raise RuntimeError("no capture")

    torch.manual_seed(0)
    with pytest.raises(RuntimeError):
        captured(broken, [state], [[torch.ones(2)]], resident=0, capture=run_again)
    torch.testing.assert_close(torch.rand(2), expected[0])


def test_what_cannot_be_captured_changes_nothing_and_is_said():
    replays, state = Replays(run_again), torch.nn.Parameter(torch.zeros(1))

    def step(total, given):
        total.add_(given)
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    assert replays.take("key", step, [state], [[torch.ones(1)]], 0) is None
    assert state.tolist() == [0.0]
    assert replays.refused == "operation not permitted when stream is capturing"


def test_a_graph_is_refused_where_there_is_no_gpu():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    if model.weights[0].value.device.type == "cuda":
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="cuda_graph: expected False"):
        accelerate(model, cuda_graph=True)
