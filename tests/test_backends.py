"""The same weights are the same function on PyTorch, JAX and TensorFlow, in memory and from each other's files."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import prepared_networks

HERE = keras.backend.backend()
BACKENDS = ("torch", "jax", "tensorflow")
TOLERANCE = 1e-4  # of the largest logit, and never less than of 1

# one of each family and of each unusual layer; the others under `slow`
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
    prepared_networks.UINT8,
)


class Worker:
    """Another backend, in a process of its own that stays: JAX keeps what it has compiled for the networks before."""

    def __init__(self, backend):
        self.backend = backend
        environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        self.process = subprocess.Popen(
            [sys.executable, prepared_networks.__file__],
            env=environment,
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answered(self):
        answer = self.process.stdout.readline()
        error = json.loads(answer) if answer else f"ended with {self.process.wait()}"
        assert error is None, f"{self.backend}: {error}"

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def others():
    for name in BACKENDS:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    workers = [Worker(name) for name in BACKENDS if name != HERE]
    yield workers
    for worker in workers:
        worker.stop()


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in prepared_networks.NAMES]
)
def test_same_weights_same_logits_in_memory_and_from_each_others_files(name, others, scratch):
    together(others, "build", name, scratch, lambda: prepared_networks.write(name, scratch))
    together(others, "load", name, scratch, lambda: prepared_networks.read(scratch))
    expected = np.load(scratch / f"{HERE}.npy")
    size = max(1.0, np.abs(expected).max())
    assert expected.shape == (prepared_networks.IMAGES, 10)
    assert np.ptp(expected, axis=0).max() > 100 * TOLERANCE * size  # the pictures are told apart by far
    found = {file.stem: np.load(file) for file in scratch.glob("*.npy")}
    assert len(found) == 3 + 3 * 2
    apart = {which: np.abs(y - expected).max() / size for which, y in found.items()}
    assert max(apart.values()) <= TOLERANCE, apart


def together(others, command, name, folder, do_here):
    for worker in others:
        worker.ask(command, name, str(folder))
    do_here()
    for worker in others:
        worker.answered()


def test_a_failure_of_another_backend_is_a_failure_here(others, scratch):
    others[0].ask("build", "no_network", str(scratch))
    with pytest.raises(AssertionError, match=rf"{others[0].backend}: (.|\n)*ValueError: name: expected one of"):
        others[0].answered()
