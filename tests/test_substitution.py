"""PyTorch's kernels under Keras' layers compute what Keras computes, two layers at once where one kernel does both."""

import keras
import numpy as np
import pytest
import torch

if keras.backend.backend() != "torch":
    pytest.skip("recorded steps are PyTorch's", allow_module_level=True)

from kmodels import accelerate, models
from kmodels.models.initial_weights import initialize
from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.substitution import substituted, substitutes
from tests.accelerated import check, crossentropy, fit, images

L = keras.layers


def trained(build, shape, accelerated):
    model = build()
    initialize(model, 0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    if accelerated:
        accelerate(model, mode="record")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, *shape)).astype("float32"), rng.integers(0, 10, 8)
    history = model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0, validation_data=(x, y)).history
    return history, model.get_weights()


def assert_same(build, shape):
    (history, weights), (expected, wanted) = (trained(build, shape, fast) for fast in (True, False))
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    for value, want in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize("name", ["convnet", "densenet_d", "densenet_d_small_stem", "se_resnet14_d", "vgg11_lrn"])
def test_networks_train_as_with_keras_own_layers(name):
    shape = models.MODELS[name].input_shape
    assert_same(lambda: models.build(name), shape)


def padded(pad=1, padding="valid", again=False):
    inputs = keras.Input((7, 6, 3))
    zeros = L.ZeroPadding2D(pad, name="zeros")(inputs)
    x = L.Conv2D(4, 3, strides=2, padding=padding, name="convolution")(zeros)
    pooled = L.MaxPooling2D(3, 1, padding="same", name="maxima")(x)
    x = L.MaxPooling2D(1, 2, name="every_second")(pooled)
    x = L.Concatenate()([L.Flatten()(x), L.Flatten()(pooled)]) if again else L.Flatten()(x)
    return keras.Model(inputs, L.Dense(10, name="logits")(x))


def merged(model):
    return [layer.name for layer, call in substitutes(model).items() if getattr(call, "__name__", "") == "put_off"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["zeros", "maxima"]),
        ({"pad": 3}, ["zeros", "maxima"]),
        ({"pad": ((2, 2), (0, 0))}, ["zeros", "maxima"]),
        ({"pad": ((0, 1), (0, 1))}, ["maxima"]),  # more zeros below than above, which no PyTorch convolution puts there
        ({"padding": "same"}, ["maxima"]),
        ({"again": True}, ["zeros"]),  # the maxima are needed by themselves
    ],
)
def test_pairs_are_one_kernel_where_that_is_the_same(settings, names):
    assert merged(padded(**settings)) == names
    assert_same(lambda: padded(**settings), (7, 6, 3))


def test_an_output_of_the_model_is_not_skipped():
    inputs = keras.Input((7, 6, 3))
    zeros = L.ZeroPadding2D(1)(inputs)
    model = keras.Model(inputs, [zeros, L.Conv2D(4, 3)(zeros)])
    assert merged(model) == []


def test_a_layer_is_its_own_again_afterwards():
    model = padded()
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype("float32")
    before = keras.ops.convert_to_numpy(model(x))
    with substituted(model):
        within = keras.ops.convert_to_numpy(model(x))
    assert "call" not in vars(model.get_layer("zeros"))
    np.testing.assert_allclose(within, before, atol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), before)


class Operations(torch.utils._python_dispatch.TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names.append(operation.overloadpacket.__name__)
        return operation(*args, **(kwargs or {}))


def operations(model, x):
    with torch.no_grad(), substituted(model), Operations() as seen:
        model(x)
    return seen.names


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_pair_is_one_operation(policy, nested):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = padded()
    finally:
        keras.config.set_dtype_policy(before)
    if nested:
        inputs = keras.Input((7, 6, 3))
        model = keras.Model(inputs, model(inputs))
    names = operations(model, torch.ones(2, 7, 6, 3))
    assert names.count("constant_pad_nd") == 0
    assert names.count("max_pool2d_with_indices") == 1
    assert names.count("convolution") == 1


def test_a_pair_is_one_operation_for_many_networks_at_once():
    model = padded()
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 2, 7, 6, 3)).astype("float32"))
    with torch.no_grad():
        expected = torch.stack([model(each) for each in x])
        with substituted(model), Operations() as seen:
            actual = torch.vmap(model)(x)
    assert "constant_pad_nd" not in seen.names
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def own_model(use, kind="zeros", policy=None):
    """A model of one pair, whose loss adds the mean of the squares of `use(first, second, x)`."""

    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            also = use(self.get_layer("first"), self.get_layer("second"), x)
            return super().compute_loss(x, y, y_pred, sample_weight) + keras.ops.mean(keras.ops.square(also))

    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(3, 1, dtype=policy)(inputs)
    if kind == "zeros":
        first, second = L.ZeroPadding2D(1, name="first", dtype=policy), L.Conv2D(3, 3, name="second", dtype=policy)
    else:
        first = L.MaxPooling2D(3, 1, padding="same", name="first", dtype=policy)
        second = L.MaxPooling2D(1, 2, name="second", dtype=policy)
    x = L.GlobalAveragePooling2D()(second(first(x)))
    model = Own(inputs, L.Dense(3, dtype="float32")(x))
    assert merged(model) == ["first"]
    model.compile(keras.optimizers.SGD(0.01), crossentropy())
    return model


def with_both(first, second, x):
    between = first(x)
    return keras.ops.mean(second(between)) + keras.ops.mean(keras.ops.square(between + 1))


def with_one_changed(first, second, x):
    between = first(x)
    between += 1
    return second(between)


USES = {
    "second": lambda first, second, x: second(x),
    "first": lambda first, second, x: keras.ops.square(first(x) + 1),
    "both": with_both,
    "changed in place": with_one_changed,
    "twice": lambda first, second, x: second(first(first(x))),
    "several": lambda first, second, x: keras.ops.concatenate([first(x), first(x + 1)]),
    "another's": lambda first, second, x: second(keras.ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])),
}


@pytest.mark.parametrize("kind", ["zeros", "maxima"])
@pytest.mark.parametrize("use", list(USES))
def test_one_layer_of_a_pair_may_be_used_by_a_loss(use, kind):
    assert check(lambda: own_model(USES[use], kind), fit(*images())) is None


def test_one_layer_of_a_pair_may_be_used_by_a_loss_in_mixed_precision():
    for use in ("second", "both"):
        assert check(lambda use=use: own_model(USES[use], policy="mixed_bfloat16"), fit(*images()), atol=3e-2) is None


def test_a_model_may_use_what_is_between_a_pair_in_its_call():
    class Own(keras.Model):
        def call(self, inputs, training=None):
            between = self.get_layer("zeros")(inputs)
            x = self.get_layer("convolution")(between)
            return self.get_layer("logits")(keras.ops.mean(x, (1, 2)) + keras.ops.mean(between))

    def build():
        inputs = keras.Input((8, 8, 3))
        x = L.Conv2D(4, 3, name="convolution")(L.ZeroPadding2D(1, name="zeros")(inputs))
        model = Own(inputs, L.Dense(3, name="logits")(L.GlobalAveragePooling2D()(x)))
        assert merged(model) == ["zeros"]
        model.compile(keras.optimizers.SGD(0.05), crossentropy())
        return model

    assert check(build, fit(*images())) is None


def test_an_input_that_is_changed_before_the_output_is_used_is_left_to_keras():
    def late(first, second, x):
        x = x * 2
        between = first(x)
        x.add_(1)
        return between

    cause = check(lambda: own_model(late), fit(*images()))
    assert "the input of first is changed in place before its output is used" in cause


class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


@pytest.mark.parametrize("function", [Through, Doubled])
def test_what_pytorch_would_not_let_us_see_is_left_to_keras(function):
    def use(first, second, x):
        return function.apply(first(second.kernel[0, 0, 0, 0] * x))

    model = own_model(use)
    assert "first" in check(lambda: own_model(use), fit(*images()))
    x = torch.ones(2, 8, 8, 3)
    with substituted(model), pytest.raises(CannotRecord, match="first"):
        use(model.get_layer("first"), model.get_layer("second"), x)
