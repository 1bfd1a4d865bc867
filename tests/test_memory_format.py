"""Where kernels lie in memory: what is moved, what stays, and that nothing but speed depends on it."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("memory formats are PyTorch's", allow_module_level=True)

import torch
from accelerated import check, trained

from kmodels import optimizers
from kmodels.torch_step.memory_format import arrange_kernels, lies_channels_first
from kmodels.torch_step.opaque_convolution import with_opaque_convolutions
from kmodels.torch_step.optimizer_rules import update_rule
from kmodels.torch_step.recorder import recorded


def few_pixels(optimizer="adam", *, channels=256, pixels=4, padding="same", bias=False):
    """One narrow convolution, two wide ones over few pixels, with a bias or normalised, and the classes."""
    x = inputs = keras.Input((pixels, pixels, 3))
    x = keras.layers.Conv2D(channels, 3, padding="same", name="narrow")(x)
    for number in range(2):
        x = keras.layers.Conv2D(channels, 3, padding=padding, use_bias=bias, name=f"wide_{number}")(x)
        x = x if bias else keras.layers.BatchNormalization()(x)  # which would take all gradient from a bias
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    chosen = {
        # a small epsilon makes of a rounded gradient near 0 a whole step
        "adam": lambda: optimizers.Adam(1e-3, epsilon=1e-3),
        "sgd": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    }
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(chosen[optimizer](), loss, metrics=["accuracy"])
    return model


def images(count=12, pixels=4):
    random = np.random.default_rng(0)
    return random.random((count, pixels, pixels, 3), "float32"), random.integers(0, 10, count)


def fit(model):
    x, y = images()
    return model.fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0)


def first(variable):
    return lies_channels_first(variable.value.detach().permute(3, 2, 0, 1))


def last(variable):
    return variable.value.detach().permute(3, 2, 0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_wide_layers_over_few_pixels_train_as_keras_trains_them(optimizer, bias):
    assert check(lambda: few_pixels(optimizer, bias=bias), fit, atol=1e-4) is None


@pytest.mark.slow
def test_compiled_they_train_as_keras_trains_them():
    plain, expected, _ = trained(few_pixels, fit)
    model, result, causes = trained(few_pixels, fit, mode="compile")
    assert causes == []
    np.testing.assert_allclose(result["loss"], expected["loss"], atol=1e-4)
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_only_wide_layers_over_few_pixels_lie_channels_first_and_their_slots_with_them():
    model, _, _ = trained(few_pixels, fit, mode="record")
    kernels = {layer.name: layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    assert {name for name, kernel in kernels.items() if first(kernel)} == {"wide_0", "wide_1"}
    assert last(kernels["narrow"])
    pairs = [(w, slot) for w, slot in update_rule(model.optimizer).slots_by_weight() if len(slot.shape) == 4]
    assert len(pairs) == 2 * len(kernels)
    assert all(first(slot) == first(weight) and last(slot) == last(weight) for weight, slot in pairs)


@pytest.mark.parametrize(
    "changes", [{"channels": 128}, {"pixels": 8}, {"padding": "valid", "pixels": 5}], ids=["narrow", "large", "valid"]
)
def test_all_others_lie_channels_last(changes):
    model = few_pixels(**changes)
    before = model.get_weights()
    arrange_kernels(model, [])
    for variable, value in zip(model.weights, before, strict=True):
        assert len(variable.shape) != 4 or last(variable)
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_layer_used_twice_is_right_whatever_its_images():
    def make():
        shared = keras.layers.Conv2D(256, 3, padding="same")
        inputs = keras.Input((4, 4, 256))
        small = keras.layers.MaxPooling2D(2)(inputs)
        both = [keras.layers.GlobalAveragePooling2D()(shared(images)) for images in (inputs, small)]
        model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Add()(both)))
        model.compile(optimizers.SGD(0.1), "mse")
        return model

    random = np.random.default_rng(1)
    x, y = random.random((6, 4, 4, 256), "float32"), random.random((6, 2), "float32")
    assert check(make, lambda model: model.fit(x, y, batch_size=3, verbose=0), atol=1e-4) is None


def gradients(tensors):
    x, weight = (tensor.detach().requires_grad_() for tensor in tensors)
    with torch.enable_grad():
        outputs = torch.nn.functional.conv2d(x, weight, padding=1)
        found = torch.autograd.grad(outputs.square().sum(), [x, weight])
    return {"outputs": outputs.detach(), "images": found[0], "kernel": found[1]}


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_only_convolutions_that_lie_channels_first_become_operators_of_the_same_values(order):
    x, weight = torch.randn(2, 5, 4, 4), torch.randn(6, 5, 3, 3).contiguous(memory_format=order)
    graph, _ = recorded(gradients, [x, weight])
    before = graph(x, weight)
    with_opaque_convolutions(graph)
    assert graph.code.count("kmodels.convolution") == (2 if order is torch.contiguous_format else 0)
    for a, b in zip(before, graph(x, weight), strict=True):
        assert torch.equal(a, b)
        assert a.stride() == b.stride()
