"""Every preset for small images, with weights that are the same on every backend.

As a program, one backend's part in `test_backends.py`: it reads commands, a line of JSON each, and answers each with
one. `["build", NAME, FOLDER]` writes the network and its logits there as `BACKEND.keras` and `BACKEND.npy`,
`["load", NAME, FOLDER]` reads the others' networks and writes `OTHER_on_BACKEND.npy`.
"""

import contextlib
import json
import sys
import traceback
from pathlib import Path
from unittest import mock

import keras
import numpy as np

from kmodels.models import MODELS, build, with_normalization
from kmodels.models.initial_weights import generator, initialize, layer_paths

# the smallest images that the networks take, where those are not 8x8 or less
SHAPES = {
    "resnet18_pooled": (16, 16, 3),
    **{name: (32, 32, 3) for name in MODELS if "vgg" in name or name.endswith(("_a", "_imagenet"))},
    **dict.fromkeys(("lenet", "plain_net", "densenet_d", "resnet18_e_large_stem"), (32, 32, 3)),
    **dict.fromkeys(("alexnet", "alexnet_bn", "average_net", "alexnet_imagenet"), (67, 67, 3)),
    "convnet": (28, 28, 1),
}
UINT8 = "lenet, normalised inside"
NAMES = (*MODELS, UINT8)
IMAGES = 2


@contextlib.contextmanager
def without_drawing():
    """Skips Keras' random initial weights, which are overwritten anyway: JAX compiles a program for each shape."""
    kinds = (keras.initializers.VarianceScaling, keras.initializers.RandomUniform)
    with contextlib.ExitStack() as stack:
        for kind in kinds:
            zeros = mock.patch.object(kind, "__call__", lambda self, shape, dtype=None: np.zeros(shape, dtype))
            stack.enter_context(zeros)
        yield


def prepared(name, **model_args):
    """A preset whose batch normalisations do something and through which no picture fades away."""
    if name == UINT8:
        return with_normalization(prepared("lenet"), [0.49, 0.48, 0.45], [0.25, 0.24, 0.26])
    with without_drawing():
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
            drawn = keras.ops.convert_to_numpy(kernel)
            fan_in = np.prod(drawn.shape[:-1])
            kernel.assign(drawn * np.float32(np.sqrt(2 / fan_in / np.mean(drawn**2, dtype=np.float64))))
            if path.endswith("_expand"):
                layer.bias.assign(np.full(layer.bias.shape, 2.0, "float32"))  # gates mostly open
    return model


def pictures(model):
    """A dim one and a bright one: noise alone looks the same to a network that has averaged over it."""
    noise = generator("golden", "images").uniform(-2.0, 2.0, (IMAGES, *model.input_shape[1:]))
    x = (noise * [[[[0.5]]], [[[2.0]]]] + [[[[-1.0]]], [[[3.0]]]]).astype("float32")
    stored = keras.backend.standardize_dtype(model.inputs[0].dtype) == "uint8"
    return np.clip((x + 2.0) * 28.0, 0, 255).astype("uint8") if stored else x


def logits(model):
    """Layer by layer: compiled as a whole, a network takes JAX ten seconds, and many share shapes of layers."""
    return np.asarray(keras.ops.convert_to_numpy(model(pictures(model), training=False)), np.float64)


def write(name, folder):
    model, here = prepared(name), keras.backend.backend()
    if name == "se_resnet14_d":
        model.compile(keras.optimizers.Adam(), "mse")  # the optimizer's class is the backend's
    np.save(folder / f"{here}.npy", logits(model))
    model.save(folder / f"{here}.keras")


def read(folder):
    here = keras.backend.backend()
    for file in folder.glob("*.keras"):
        if file.stem != here:
            with without_drawing():
                model = keras.saving.load_model(file, compile=False, safe_mode=True)
            np.save(folder / f"{file.stem}_on_{here}.npy", logits(model))


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever prints must not stand between the answers
    for line in sys.stdin:
        command, name, folder = json.loads(line)
        try:
            write(name, Path(folder)) if command == "build" else read(Path(folder))
            error = None
        except Exception:
            error = traceback.format_exc()
        print(json.dumps(error), file=answers, flush=True)
