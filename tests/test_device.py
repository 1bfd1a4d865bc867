"""The device that is written down is the one that the weights lie on."""

import mmap
import sys
from types import SimpleNamespace

import keras
import pytest

from kmodels.torch_step.device import device_of, forget_peak_memory


@pytest.mark.backend
def test_a_real_weight_says_where_it_lies():
    layer = keras.layers.Dense(1)
    layer.build((None, 2))
    device = device_of(layer.kernel.value, keras.backend.backend())
    assert device.name.split(": ")[0] in ("CPU", "CUDA", "MPS", "GPU", "TPU")
    assert device.peak_memory_bytes > 50e6


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of the process")
def test_the_peak_is_that_since_it_was_forgotten():
    def peak():
        return device_of(SimpleNamespace(device=SimpleNamespace(type="cpu")), "torch").peak_memory_bytes

    forget_peak_memory("torch")
    before = peak()
    page = b"1" * 2**16
    with mmap.mmap(-1, 2**28) as fresh:  # not of the heap, which may keep what is freed
        while fresh.tell() < len(fresh):
            fresh.write(page)
        assert peak() - before > 2**27
    forget_peak_memory("torch")
    assert peak() - before < 2**27


class _OnJax:
    def __init__(self, platform, kind):
        self._device = SimpleNamespace(platform=platform, device_kind=kind)

    def devices(self):
        return [self._device]


@pytest.mark.parametrize(
    ("weight", "backend", "name"),
    [
        (SimpleNamespace(device=SimpleNamespace(type="mps")), "torch", "MPS"),
        (SimpleNamespace(device=SimpleNamespace(type="cpu")), "torch", "CPU: "),
        (_OnJax("gpu", "NVIDIA H100"), "jax", "GPU: NVIDIA H100"),
        (_OnJax("cpu", "cpu"), "jax", "CPU: "),
        (SimpleNamespace(device="/job:localhost/replica:0/task:0/device:GPU:0"), "tensorflow", "GPU"),
        (SimpleNamespace(device="/job:localhost/replica:0/task:0/device:CPU:0"), "tensorflow", "CPU: "),
    ],
)
def test_an_accelerator_is_not_called_a_cpu_nor_a_cpu_an_accelerator(weight, backend, name):
    assert device_of(weight, backend).name.startswith(name)
