"""The same weights are the same function on PyTorch, JAX and TensorFlow, in memory and from file.

`golden/logits.json` holds what PyTorch computes; `KERAS_BACKEND=torch python tests/test_backends.py` writes it anew.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kmodels.initial_weights import generator, initialize, layer_paths
from kmodels.models import MODELS, build, with_normalization

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).with_name("golden") / "logits.json"
BACKENDS = ("torch", "jax", "tensorflow")
TOLERANCE = 1e-4  # of the largest logit, and never less than of 1

SHAPES = {
    **{name: (32, 32, 3) for name in MODELS if "vgg" in name or name.endswith(("_a", "_imagenet"))},
    **dict.fromkeys(("lenet", "plain_net", "densenet_d", "resnet18_e_large_stem"), (32, 32, 3)),
    **dict.fromkeys(("alexnet", "alexnet_bn", "average_net", "alexnet_imagenet"), (67, 67, 3)),
    "convnet": (28, 28, 1),
}
# 120 M parameters and more, whose layers the smaller VGGs have too
NAMES = [name for name in MODELS if not (name.startswith("vgg") and name.endswith("_imagenet"))]
# one of each family and of each unusual layer; the others under `slow`: JAX takes ten seconds to compile one
QUICK = (
    "lenet",
    "alexnet_bn",
    "vgg11_lrn",
    "se_vgg16_stage",
    "convnet",
    "densenet_d",
    "se_resnet14_d",
    "resnet18_a",
    "resnet20",
)


def prepared(name, **model_args):
    """A preset for small images, whose batch normalisations do something and through which no picture fades away."""
    model = build(name, SHAPES.get(name, (16, 16, 3)), 10, **model_args)
    initialize(model, seed=0)
    for path, layer in layer_paths(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable, low, high in (
                (layer.gamma, 0.5, 1.5),
                (layer.beta, -0.1, 0.1),
                (layer.moving_mean, -0.1, 0.1),
                (layer.moving_variance, 0.5, 1.5),
            ):
                values = generator("golden", path, variable.name).uniform(low, high, variable.shape)
                variable.assign(values.astype("float32"))
        elif (kernel := getattr(layer, "kernel", None)) is not None:
            # He's variance keeps the size of what passes a ReLU; PyTorch's default leaves a sixth of it at each layer
            drawn = np.asarray(keras.ops.convert_to_numpy(kernel), np.float64)
            fan_in = np.prod(drawn.shape[:-1])
            kernel.assign((drawn * np.sqrt(2 / fan_in / np.mean(drawn**2))).astype("float32"))
            if path.endswith("_expand"):
                layer.bias.assign(np.full(layer.bias.shape, 2.0, "float32"))  # gates mostly open
    return model


def pictures(model):
    """A dim one and a bright one: noise alone looks the same to a network that has averaged over it."""
    noise = generator("golden", "images").uniform(-2.0, 2.0, (2, *model.input_shape[1:]))
    return (noise * [[[[0.5]]], [[[2.0]]]] + [[[[-1.0]]], [[[3.0]]]]).astype("float32")


def logits(model, x):
    return np.asarray(model.predict_on_batch(x), np.float64)


def assert_same(found, expected):
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    assert np.ptp(expected, axis=0).max() > 100 * TOLERANCE * max(1.0, np.abs(expected).max())  # told apart by far
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))


@pytest.mark.backend
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_same_weights_same_logits_as_pytorch(name):
    model = prepared(name)
    assert_same(logits(model, pictures(model)), json.loads(GOLDEN.read_text())[name])


def test_every_small_enough_network_has_golden_logits():
    assert list(json.loads(GOLDEN.read_text())) == NAMES


# What another backend does with the files: their logits beside them, and an own start from the same seed.
LOAD = """
import sys
from pathlib import Path
import keras, numpy as np
for file in sorted(Path(sys.argv[1]).glob("*.keras")):
    if file.stem in ("vgg11_lrn", "average_net"):
        import kmodels.models
    model = keras.saving.load_model(file, compile=False, safe_mode=True)
    data = np.load(file.with_suffix(".npz"))
    weights = [np.asarray(keras.ops.convert_to_numpy(w)) for w in model.weights]
    assert all(np.array_equal(a, data[f"w{i}"]) for i, a in enumerate(weights)), file.stem
    np.save(file.with_suffix(f".{sys.argv[2]}.npy"), model.predict_on_batch(data["x"]))
"""


@pytest.mark.backend
@pytest.mark.parametrize("other", [name for name in BACKENDS if name != keras.backend.backend()])
def test_a_file_saved_here_loads_on_another_backend(other, saved):
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    command = [sys.executable, "-c", LOAD, str(saved), other]
    environment = {**os.environ, "KERAS_BACKEND": other, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    files = sorted(saved.glob("*.keras"))
    assert len(files) == 5
    for file in files:
        assert_same(np.load(file.with_suffix(f".{other}.npy")), np.load(file.with_suffix(".npz"))["y"])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Networks in files, one compiled with this backend's optimizer, and what each says here."""
    folder = tmp_path_factory.mktemp("saved")
    models = {
        "average_net": prepared("average_net", members=("lenet", "plain_net")),
        "densenet_d": prepared("densenet_d"),
        "lenet_uint8": with_normalization(prepared("lenet"), [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]),
        "se_resnet14_d": prepared("se_resnet14_d"),
        "vgg11_lrn": prepared("vgg11_lrn"),
    }
    models["se_resnet14_d"].compile(keras.optimizers.Adam(), "mse")
    for name, model in models.items():
        x = (
            pictures(model)
            if name != "lenet_uint8"
            else np.clip((pictures(model) + 2.0) * 28.0, 0, 255).astype("uint8")
        )
        weights = {f"w{i}": keras.ops.convert_to_numpy(w) for i, w in enumerate(model.weights)}
        np.savez(folder / f"{name}.npz", x=x, y=logits(model, x), **weights)
        model.save(folder / f"{name}.keras")
    return folder


if __name__ == "__main__":
    assert keras.backend.backend() == "torch"
    computed = {}
    for each in NAMES:
        network = prepared(each)
        computed[each] = [[float(f"{v:.7g}") for v in row] for row in logits(network, pictures(network))]
    GOLDEN.write_text(json.dumps(computed).replace("]], ", "]],\n") + "\n")
