"""What is recorded of a training: against PyTorch's own gradients, and without moving the training."""

import keras
import numpy as np
import pytest
import torch

from kmodels import augment, data
from kmodels.models import build
from kmodels.models.gates import gate_layers
from kmodels.models.initial_weights import initialize
from kmodels.spec.observations import is_observations
from kmodels.spec.rate import Restart
from kmodels.training.network import build_model
from kmodels.training.observing import gate_statistics, observers
from kmodels.training.task_data import TaskData
from kmodels.training.train import train
from tests.equality import only_torch
from tests.tiny_experiment import task
from tests.twins.lenet import lenet as twin_lenet

NETWORK = {  # batch normalisation, shortcuts, gates: a residual network of three blocks, and dropout before its end
    "model": "resnet14_d",
    "model_args": {"blocks_per_stage": 1, "widths": (4, 8, 8), "se_reduction": 2, "dropout": 0.3},
    "head": "logits",
    "train_images": 150,
    "batch_size": 64,
    "optimizer": "sgd",
    "momentum": 0.9,
    "learning_rate": 0.05,
    "crop_padding": 1,
}
ALL = ("gradient_norms", "gates", "size", "loss_sum")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", report=lambda line: None)


class _Killed(Exception):
    pass


class _Kill(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            raise _Killed


class _Weights(keras.callbacks.Callback):
    """Holds every variable of the model and its optimizer as they were in the end."""

    def on_epoch_end(self, epoch, logs=None):
        variables = [*self.model.variables, *self.model.optimizer.variables]
        self.values = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


@pytest.fixture(scope="module")
def observed(digits):
    """A run that observed all there is, and its variables."""
    end = _Weights()
    return train(task(**NETWORK, observe=ALL), digits, callbacks=[end]), end.values


@only_torch
def test_the_training_is_the_same_to_the_last_bit(digits, observed):
    run, values = observed
    end = _Weights()
    plain = train(task(**NETWORK), digits, callbacks=[end])
    assert len(values) == len(end.values)
    for ours, theirs in zip(values, end.values, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (run.curves, run.scores) == (plain.curves, plain.scores)
    assert plain.observations == {}
    assert plain.key != run.key


@only_torch
def test_what_is_observed_has_its_form_and_size(observed):
    run, _ = observed
    assert is_observations(run.observations)
    norms = run.observations["gradient_norms"]
    assert len(norms["norms"]) == 1 + 2  # before the training, and after each epoch
    assert (norms["layers"][0], norms["layers"][-1]) == ("stem", "logits")
    assert [norms["kernel_sizes"][norms["layers"].index(name)] for name in ("stem", "logits")] == [3, 0]
    assert norms["kernel_sizes"][norms["layers"].index("stage2_block1_shortcut")] == 1
    assert run.observations["gates"]["blocks"] == [f"stage{n}_block1_se" for n in (1, 2, 3)]
    model = build("resnet14_d", (16, 16, 1), 10, **NETWORK["model_args"])
    assert run.observations["size"]["parameters"] == sum(int(np.prod(w.shape)) for w in model.trainable_weights)


@pytest.mark.backend
def test_the_sums_of_full_batches_are_their_number_times_the_mean_loss(digits):
    run = train(task(observe=("loss_sum",), train_images=96, batch_size=32), digits)
    sums = run.observations["loss_sum"]["epochs"]
    np.testing.assert_allclose(sums, 3 * np.array(run.curves["loss"]), atol=1e-4)
    assert not [name for name in run.curves if "sum" in name]


@only_torch
def test_norms_before_the_training_are_those_of_pytorchs_own_network(digits):
    """The same network in PyTorch's modules, with the same weights and images, and `backward`."""
    wanted = task(observe=("gradient_norms",), head="logits", image_size=32, epochs=1)
    found = train(wanted, digits).observations["gradient_norms"]
    model = build("lenet", (32, 32, 1), 10, dropout=0.0)
    initialize(model, wanted.seed)
    twin = _twin(model)
    share = TaskData.of(wanted, digits, "memory")
    probe = share.train_part[:256]
    images = torch.from_numpy(augment.apply(digits.x_train[probe], None, share.transform)).permute(0, 3, 1, 2)
    torch.nn.functional.cross_entropy(twin(images), torch.from_numpy(digits.y_train[probe]).long()).backward()
    norms = [float(layer.weight.grad.norm()) for layer in _layers(twin)]
    assert (len(probe), len(norms)) == (96, 5)
    np.testing.assert_allclose(found["norms"][0], norms, rtol=1e-3)


def _twin(model):
    """Report A's LeNet in PyTorch's modules, with the weights of a Keras model."""
    twin = twin_lenet(1)
    with torch.no_grad():
        for name, layer in zip(("conv1", "conv2", "dense1", "dense2", "logits"), _layers(twin), strict=True):
            kernel, bias = (torch.from_numpy(np.array(w.value.detach().cpu())) for w in model.get_layer(name).weights)
            if name == "dense1":  # PyTorch flattens channels first
                kernel = kernel.reshape(6, 6, 16, -1).permute(2, 0, 1, 3).flatten(0, 2)
            layer.weight.copy_(kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
            layer.bias.copy_(bias)
    return twin


def _layers(twin):
    return [layer for layer in twin if hasattr(layer, "weight")]


@only_torch
def test_norms_use_the_batchs_statistics_and_leave_no_trace(digits):
    from kmodels.torch_step.gradient_norms import gradient_norms

    recipe = task(**{**NETWORK, "model_args": {"blocks_per_stage": 1, "widths": (4, 8, 8)}}).recipe
    model = build_model(recipe, (8, 8, 1), 10, seed=0, fold=0)
    images, labels = np.random.default_rng(0).random((32, 16, 16, 1), dtype=np.float32), np.arange(32) % 10
    layers = [model.get_layer("stem"), model.get_layer("stage3_block1_conv2")]
    before = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in model.variables]
    state = torch.get_rng_state()
    found = gradient_norms(model, layers, images, labels)
    assert gradient_norms(model, layers, images, labels) == found
    assert torch.equal(torch.get_rng_state(), state)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable.value), value)
        assert variable.value.grad is None
    # by hand: autograd on the very parameters, in training mode
    loss = model.compute_loss(
        x=images, y=torch.from_numpy(labels), y_pred=model(torch.from_numpy(images), training=True)
    )
    loss.backward()
    for layer, norm in zip(layers, found, strict=True):
        assert float(layer.kernel.value.grad.norm()) == pytest.approx(norm, rel=1e-5)
    # with the running statistics of the beginning they would be others
    model.zero_grad()
    model.compute_loss(
        x=images, y=torch.from_numpy(labels), y_pred=model(torch.from_numpy(images), training=False)
    ).backward()
    assert abs(float(layers[0].kernel.value.grad.norm()) / found[0] - 1) > 0.01


@only_torch
def test_a_killed_training_has_observed_the_same(digits, tmp_path, monkeypatch, observed):
    monkeypatch.setattr("kmodels.training.checkpoint._SECONDS", 0.0)
    path = tmp_path / "run.state"
    with pytest.raises(_Killed):
        train(task(**NETWORK, observe=ALL), digits, checkpoint=path, callbacks=[_Kill(1)])
    assert path.exists()
    assert train(task(**NETWORK, observe=ALL), digits, checkpoint=path).observations == observed[0].observations


@only_torch
def test_gradients_are_those_of_the_whole_training_where_it_restarts(digits):
    changes = {
        "observe": ("gradient_norms",),
        "restarts": (Restart(epochs=1, learning_rate=1e-3),),
        "keep": "best_loss",
    }
    run = train(task(**changes, head="logits", image_size=32, epochs=1), digits)
    assert len(run.observations["gradient_norms"]["norms"]) == 1 + 2


@pytest.mark.parametrize("widths", [(4, 8), pytest.param((4,), marks=pytest.mark.backend)], ids=["two", "one"])
def test_gates_are_those_of_the_trained_network_on_the_validation_images(digits, widths):
    class Keep(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            kept.append(self.model)

    kept = []
    small = {"blocks_per_stage": 1, "widths": widths, "se_reduction": 2}
    asked = task(model="resnet14_d", model_args=small, head="logits", epochs=1, observe=("gates",))
    run = train(asked, digits, callbacks=[Keep()])
    share = TaskData.of(asked, digits, "memory")
    images = augment.apply(digits.x_train[share.held], None, share.transform)
    labels = digits.y_train[share.held]
    gates = gate_layers(kept[0])
    ends = keras.Model(kept[0].inputs[0], {name: layer.output for name, layer in gates.items()})
    outputs = ends.predict(images, verbose=0)
    values = [np.asarray(one).reshape(len(labels), -1) for one in outputs.values()]
    assert run.observations["gates"]["blocks"] == list(gates)
    for place, block in enumerate(values):
        means = [block[labels == k].mean() for k in range(10)]
        spread = [block[labels == k].mean(axis=1).std() for k in range(10)]
        np.testing.assert_allclose(run.observations["gates"]["mean"][place], means, rtol=1e-3)
        np.testing.assert_allclose(run.observations["gates"]["sd"][place], spread, rtol=1e-2, atol=1e-6)


def test_gates_of_classes_that_differ_spread_between_and_not_within():
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 50)
    differ = gate_statistics(0.2 + 0.3 * labels[:, None] + 0.001 * draw.random((150, 4)), labels, 3)
    same = gate_statistics(0.5 + 0.1 * draw.standard_normal((150, 4)), labels, 3)
    assert differ["between_classes"] > 100 * differ["within_classes"]
    assert same["within_classes"] > 3 * same["between_classes"]
    assert gate_statistics(np.full((2, 4), 0.5), np.zeros(2, int), 2)["mean"] == [0.5, None]


def test_a_network_without_gates_is_refused_before_it_is_trained(digits):
    with pytest.raises(ValueError, match="observe: expected a network with squeeze-and-excite"):
        train(task(observe=("gates",)), digits)


def test_another_backend_refuses_aloud(digits, monkeypatch):
    asked = task(observe=("gradient_norms",))
    model, share = build("lenet", (16, 16, 1), 10), TaskData.of(asked, digits, "memory")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="observe: expected no gradient_norms under KERAS_BACKEND=jax"):
        observers(model, share, {})
