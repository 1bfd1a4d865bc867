"""An exported network says in onnxruntime what it says in Keras."""

import keras
import numpy as np
import pytest

from kmodels.initial_weights import initialize
from kmodels.models import build, with_normalization

pytest.importorskip("onnx", reason="onnx is not installed: pip install kmodels[onnx]")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install kmodels[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install kmodels[onnx]")

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="Keras exports ONNX from PyTorch here"),
    # tracing remarks on the Python integers in shapes, which are constants indeed
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch.*"),
]

SMALL, MEDIUM = (16, 16, 3), (32, 32, 3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lenet", MEDIUM),
        ("alexnet_bn", (67, 67, 3)),
        ("vgg11_lrn", MEDIUM),
        ("convnet", (28, 28, 1)),
        ("plain_net", MEDIUM),
        ("densenet_d", MEDIUM),
        ("se_resnet14_d", SMALL),
        ("resnet20", SMALL),
        ("resnet18_a", MEDIUM),
    ],
)
def test_exported_logits_are_equal(name, shape, tmp_path):
    model = build(name, shape, 10)
    initialize(model, seed=0)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    check(model, x, tmp_path)


def test_exported_with_normalization_it_takes_uint8(tmp_path):
    model = with_normalization(build("lenet"), [0.49, 0.48, 0.45], [0.25, 0.24, 0.26])
    initialize(model, seed=0)
    x = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    check(model, x, tmp_path)


def check(model, x, folder):
    expected = model.predict_on_batch(x)  # Keras exports what was called at least once
    file = folder / "model.onnx"
    model.export(file, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    for batch, wanted in ((x, expected), (x[:1], expected[:1])):  # any number of images
        (found,) = session.run(None, {entry.name: batch})
        np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-5 * max(1.0, np.abs(expected).max()))
