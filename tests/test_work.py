"""When compiling pays: counted from the recorded step, so the same on every machine and in every call."""

import keras
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("recorded steps are PyTorch's", allow_module_level=True)

import torch

from kmodels.torch_step.recorder import recorded
from kmodels.torch_step.work import Work, steps_until_compiling_pays, work_of

CPU = torch.device("cpu")


def product(tensors):
    a, b = tensors
    return {"product": torch.relu(a @ b)}


def test_a_graphs_work_is_counted():
    graph, names = recorded(product, [torch.zeros(3, 4), torch.zeros(4, 5)])
    assert names == ["product"]
    assert work_of(graph) == Work(operations=2, flops=2 * 3 * 4 * 5, traffic=2 * 3 * 5 * 4)


def test_convolutions_count_forward_and_backward():
    def step(tensors):
        x, kernel = tensors
        kernel = kernel.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(torch.nn.functional.conv2d(x, kernel).sum(), [kernel])
        return {"gradient": gradient}

    graph, _ = recorded(step, [torch.zeros(2, 3, 8, 8), torch.zeros(4, 3, 3, 3)])
    forward = 2 * (2 * 4 * 6 * 6) * (3 * 3 * 3)
    assert work_of(graph).flops == 2 * forward  # the forward pass, and the kernel's gradient


@pytest.mark.parametrize("device", [CPU, torch.device("cuda")])
def test_more_work_pays_sooner(device):
    small, large = Work(200, 10**8, 10**7), Work(200, 10**8, 10**9)
    steps = [steps_until_compiling_pays(work, device) for work in (small, large)]
    assert steps[0] > steps[1] >= 1


def test_recording_computes_nothing_and_changes_nothing():
    value = torch.ones(2)

    def step(tensors):
        tensors[0].mul_(3.0)
        return {"value": tensors[0] * 1}

    graph, _ = recorded(step, [value])
    assert value.tolist() == [1.0, 1.0]
    assert graph(value)[0].tolist() == [3.0, 3.0]
    assert value.tolist() == [3.0, 3.0]
