import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodels.models.layers import LocalResponseNormalization


def normalized_by_torch(x, size, alpha, beta, k):
    tensor = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    return np.moveaxis(torch.nn.LocalResponseNorm(size, alpha, beta, k)(tensor).numpy(), 1, -1)


@pytest.mark.backend
@settings(max_examples=40)
@given(
    shape=st.sampled_from([(2, 3, 4, 1), (1, 1, 2, 5), (3, 2, 1, 12)]),  # few, as JAX compiles for each
    size=st.integers(1, 9),
    alpha=st.floats(0.0, 10.0),
    beta=st.floats(0.0, 2.0),
    k=st.floats(0.1, 3.0),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
)
def test_local_response_normalization_is_pytorchs(shape, size, alpha, beta, k, scale):
    x = scale * np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = LocalResponseNormalization(size=size, alpha=alpha, beta=beta, k=k)
    actual = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(actual, normalized_by_torch(x, size, alpha, beta, k), rtol=2e-5, atol=1e-7 * scale)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="gradients are compared on PyTorch")
def test_its_gradient_is_pytorchs():
    x = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    weighting = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(1))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    (LocalResponseNormalization(size=4, alpha=2.0)(ours) * weighting).sum().backward()
    output = torch.nn.LocalResponseNorm(4, alpha=2.0, beta=0.75, k=2.0)(theirs.permute(0, 3, 1, 2))
    (output.permute(0, 2, 3, 1) * weighting).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.backend
def test_half_precision_neither_overflows_nor_changes_type():
    x = np.full((1, 2, 2, 4), 300.0, "float16")  # 300² is more than float16 holds
    y = LocalResponseNormalization(alpha=1.0, dtype="float16")(x)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    expected = normalized_by_torch(x.astype("float32"), 5, 1.0, 0.75, 2.0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(y).astype("float32"), expected, rtol=1e-3)


@pytest.mark.backend
def test_a_saved_model_loads_in_safe_mode_with_equal_outputs(tmp_path):
    inputs = keras.Input((4, 4, 6), name="maps")
    model = keras.Model(inputs, LocalResponseNormalization(3, 2.0, 0.5, 1.5, name="lrn")(inputs))
    model.save(tmp_path / "lrn.keras")
    loaded = keras.models.load_model(tmp_path / "lrn.keras", safe_mode=True)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 6)).astype("float32")
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(m(x)) for m in (model, loaded)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size: expected an integer, 1 or more. Received: size=0"),
        ({"size": 2.0}, "size: expected an integer"),
        ({"alpha": -1.0}, "alpha: expected 0 or more"),
        ({"beta": -1.0}, "beta: expected 0 or more"),
        ({"k": 0.0}, "k: expected a number above 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LocalResponseNormalization(**arguments)
