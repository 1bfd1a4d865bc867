"""An exported network says in onnxruntime what it says in Keras."""

import keras
import numpy as np
import pytest

from kmodels.models import ensemble
from tests import prepared_networks

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

# one of each family and of each unusual layer; the others under `slow`
QUICK = (
    "lenet",
    "alexnet_bn",
    "vgg11_lrn",
    "se_vgg16_stage",
    "convnet",
    "plain_net",
    "densenet_d",
    "se_resnet14_d",
    "resnet20",
    "resnet18_a",
    prepared_networks.UINT8,
)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in prepared_networks.NAMES]
)
def test_exported_logits_are_equal(name, scratch):
    check(prepared_networks.prepared(name), scratch)


@pytest.mark.parametrize("rule", ["mean_logits", "mean_probabilities", "majority"])
def test_an_exported_ensemble_combines_as_it_did(rule, scratch):
    members = [prepared_networks.prepared(name) for name in ("lenet", "plain_net", "vgg11_lrn")]
    check(ensemble(members, rule=rule), scratch)


def check(model, folder):
    x = prepared_networks.pictures(model)
    expected = model.predict_on_batch(x)  # Keras exports what was called at least once
    file = folder / "model.onnx"
    model.export(file, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    for batch, wanted in ((x, expected), (x[:1], expected[:1])):  # any number of images
        (found,) = session.run(None, {entry.name: batch})
        np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-5 * max(1.0, np.abs(expected).max()))
