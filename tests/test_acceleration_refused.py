"""`accelerate`: what only shows when a step is taken, and what a step hides."""

import random
import threading

import keras
import pytest
from keras import ops
from keras.src.backend.common import global_state

from kmodels.acceleration import accelerate, explain
from tests.accelerated import check, crossentropy, features, fit, only_torch, perceptron

pytestmark = [only_torch]

torch = pytest.importorskip("torch")

X, Y = features()


def through(layer):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(3)(layer(keras.layers.Dense(5)(inputs))))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), crossentropy())
    return model


class Hides(keras.layers.Layer):
    def call(self, x):
        try:
            return x * float(ops.max(x).detach())
        except Exception:
            return x


def test_a_value_that_is_read_where_errors_are_caught():
    """A graph would hold the way out, which is never taken."""
    cause = check(lambda: through(Hides()), fit(X, Y))
    assert cause is not None and "reads a tensor's value on the host, in Hides.call (test_" in cause


class Halves(torch.autograd.Function):
    """Reads a value in the backward pass alone."""

    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, gradient):
        return gradient / 2 if bool((gradient == gradient).all()) else gradient


class Halved(keras.layers.Layer):
    def call(self, x):
        return Halves.apply(x)


def test_a_value_that_is_read_in_the_backward_pass():
    cause = check(lambda: through(Halved()), fit(X, Y))
    assert cause is not None and "reads a tensor's value on the host, in Halves.backward (test_" in cause


class Counts(keras.layers.Layer):
    """Counts its calls in a variable, by PyTorch's own means."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        with torch.no_grad():
            self.calls.value.add_(1)
        return x * (1 + self.calls.value)


@pytest.mark.parametrize("exact", [True, False])
def test_a_layer_that_writes_a_variable_in_place(exact):
    assert check(lambda: through(Counts()), fit(X, Y), exact=exact) is None


class Doubles(keras.layers.Layer):
    """Its operation fails once where it is computed from a graph."""

    left = 0

    def call(self, x):
        return torch.ops.kmodels_tests.doubles(x)


@torch.library.custom_op("kmodels_tests::doubles", mutates_args=())
def _doubles(x: torch.Tensor) -> torch.Tensor:
    if Doubles.left and len(x) == 5:  # no rehearsal, which takes fewer
        Doubles.left -= 1
        raise RuntimeError("no memory for it")
    return x * 2


_doubles.register_fake(torch.empty_like)
_doubles.register_autograd(lambda ctx, gradient: gradient * 2)


def test_a_recording_whose_first_step_fails():
    def train(model):
        Doubles.left = int(hasattr(model, "_kmodels_steps"))
        return fit(X, Y)(model)

    cause = check(lambda: through(Doubles()), train)
    assert cause is not None and "the recorded step fails: RuntimeError: no memory for it" in cause


class Late(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(torch.ops.kmodels_tests.doubles(y_pred.detach()))


def test_a_step_that_fails_once_it_has_written_ends_the_training():
    """The weights are those after the update: another step would not begin where it should."""
    model = accelerate(perceptron(metrics=[Late()]), mode="record")
    Doubles.left = 1
    with pytest.raises(RuntimeError, match="no memory for it"):
        model.fit(X, Y, batch_size=5, verbose=0)


class Way(keras.layers.Layer):
    def call(self, x):
        return x * 2 if type(x) is torch.Tensor else -x


def test_a_layer_that_goes_another_way_without_values():
    cause = check(lambda: through(Way()), fit(X, Y))
    assert cause is not None and "without values it does something else: " in cause


def test_what_a_module_of_pytorch_counts_is_not_counted_twice():
    modules = []

    def make():
        modules.append(torch.nn.BatchNorm1d(5))
        return through(keras.layers.TorchModuleWrapper(modules[-1], output_shape=(None, 5)))

    def train(model):
        return [fit(X, Y)(model).history, int(modules[-1].num_batches_tracked), modules[-1].running_mean.tolist()]

    cause = check(make, train)
    assert cause is not None and "no variable of the model, in layer torch_module_wrapper" in cause


def test_what_seeds_unseeded_generators_is_left_as_it_was():
    class Draws(keras.layers.Layer):
        def call(self, x):
            return x + keras.random.normal(ops.shape(x))

    def train(model):
        global_state.set_global_attribute("global_seed_generator", None)
        history = fit(X, Y)(model).history
        return history, random.random(), float(keras.random.uniform(()))

    assert check(lambda: through(Draws()), train) is not None


def test_models_are_recorded_in_several_threads_at_once():
    models = [accelerate(perceptron(), mode="record") for _ in range(4)]
    threads = [threading.Thread(target=model.train_on_batch, args=(X, Y)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["recorded" in explain(model) for model in models] == [True] * 4
