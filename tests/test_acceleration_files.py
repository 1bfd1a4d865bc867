"""`accelerate`: what is saved is a plain Keras model, wherever it is loaded."""

import json
import os
import subprocess
import sys
import textwrap
import zipfile

import keras
import numpy as np
import pytest

from kmodels import optimizers as own
from kmodels.acceleration import accelerate
from tests.accelerated import convnet, fit, images, only_torch, seed

pytestmark = [only_torch]

IMAGES, CLASSES = images()


def trained(optimizer="adam", **options):
    seed()
    model = convnet(optimizer=optimizer)
    if options:
        accelerate(model, **options)
    fit(IMAGES, CLASSES, shuffle=False)(model)
    return model


def test_a_saved_file_names_neither_layout_nor_this_package(scratch):
    path = scratch / "model.keras"
    trained(mode="record").save(path)
    with zipfile.ZipFile(path) as file:
        texts = [file.read(name).decode() for name in file.namelist() if name.endswith(".json")]
    for text in texts:
        assert json.loads(text)
        assert "channels_first" not in text and "kmodels" not in text


def test_with_exact_the_weights_and_their_order_in_memory_are_those_of_keras(scratch):
    fast, plain = trained(mode="record", exact=True), trained()
    for a, b in zip(fast.variables, plain.variables, strict=True):
        assert a.value.detach().numpy().tobytes() == b.value.detach().numpy().tobytes()
        assert a.value.stride() == b.value.stride()
    for variable in trained(mode="record").variables:  # in whatever order they lie, files hold the plain one
        array = np.asarray(variable.value.detach())
        assert array.tobytes() == np.ascontiguousarray(array).tobytes()


def test_weights_files_hold_the_same_values(scratch):
    fast = trained(mode="record")
    fast.save_weights(scratch / "w.weights.h5")
    other = keras.models.clone_model(fast)
    assert not any("kmodels" in name for name in vars(other))
    other.load_weights(scratch / "w.weights.h5")
    np.testing.assert_array_equal(other.predict(IMAGES, verbose=0), fast.predict(IMAGES, verbose=0))


ELSEWHERE = """
    import sys
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "kmodels":
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, Absent())
    import keras, numpy as np
    path, arrays, compiled = sys.argv[1], np.load(sys.argv[2]), sys.argv[3] == "True"
    model = keras.models.load_model(path, compile=compiled)
    difference = np.abs(model.predict(arrays["x"], verbose=0) - arrays["outputs"]).max()
    assert difference < 1e-5, difference
    if not compiled:
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    loss = model.train_on_batch(arrays["x"], arrays["y"])
    assert np.isfinite(loss).all()
    assert keras.config.image_data_format() == "channels_last"
    print("trained on", keras.backend.backend())
"""


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_plain_keras_loads_the_file_and_trains_on(backend, scratch):
    if backend == "tensorflow":
        pytest.importorskip("tensorflow")
    model = trained(mode="record")
    model.save(scratch / "model.keras")
    np.savez(scratch / "arrays.npz", x=IMAGES, y=CLASSES, outputs=model.predict(IMAGES, verbose=0))
    # a file saved on PyTorch names that backend's optimizer class, so elsewhere it is compiled anew
    given = [scratch / "model.keras", scratch / "arrays.npz", str(backend == "torch")]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", textwrap.dedent(ELSEWHERE), *map(str, given)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"trained on {backend}" in done.stdout


def test_the_optimizers_of_this_package_are_named_in_the_file(scratch):
    path = scratch / "model.keras"
    trained(optimizer=own.Adam(1e-3), mode="record").save(path)
    with zipfile.ZipFile(path) as file:
        config = json.loads(file.read("config.json"))
    assert config["compile_config"]["optimizer"]["registered_name"] == "kmodels>Adam"
    assert "kmodels" not in json.dumps(config["config"])
    # without this package, `compile=False` loads it
    assert keras.models.load_model(path, compile=False).count_params() == convnet().count_params()


def test_pytorch_sees_no_more_than_in_a_plain_model():
    fast, plain = trained(mode="record"), trained()
    assert [tuple(p.shape) for p in fast.parameters()] == [tuple(p.shape) for p in plain.parameters()]
    assert len(fast.state_dict()) == len(plain.state_dict())
