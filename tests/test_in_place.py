"""Recorded operations that write over what nothing reads afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kmodels.torch_step.memory_plan import with_memory_plan
from kmodels.torch_step.recorder import recorded


def rewritten(function, *inputs):
    graph, _ = recorded(function, inputs)
    return graph, with_memory_plan(graph)


def names(graph):
    return [str(node.target).removeprefix("aten.") for node in graph.graph.nodes if node.op == "call_function"]


def outputs(*tensors):
    return {str(place): tensor for place, tensor in enumerate(tensors)}


def test_what_is_read_for_the_last_time_is_written_over():
    graph, changed = rewritten(lambda given: outputs(((given[0] * 2).relu() + given[1]).tanh()), *torch.randn(2, 3, 4))
    assert names(graph) == ["mul.Tensor", "relu.default", "add.Tensor", "tanh.default"]
    assert names(changed) == ["mul.Tensor", "relu_.default", "add_.Tensor", "tanh_.default"]


@pytest.mark.parametrize(
    ("function", "kept"),
    [
        (lambda given: outputs(given[0].relu()), "relu.default"),  # the caller's own
        (lambda given: outputs(given[0].t().relu()), "relu.default"),  # a view of it
        (lambda given: (lambda x: outputs(x.relu(), x))(given[0] * 2), "relu.default"),  # returned later
        (lambda given: (lambda x: outputs(x.relu() + x.sum()))(given[0] * 2), "relu.default"),  # read later
        (
            lambda given: (lambda x, seen: outputs(x.relu() + seen.sum()))(*(lambda x: (x, x[0]))(given[0] * 2)),
            "relu.default",
        ),
        (lambda given: (lambda x: outputs(x * x.t()))(given[0].exp()), "mul.Tensor"),  # itself, the other way round
        (lambda given: outputs((given[0] * 2)[0].relu()), "relu.default"),  # a part of a tensor
        (lambda given: outputs((given[0][0] * 2).expand(4, 4).relu()), "relu.default"),  # rows that are one row
        (lambda given: outputs((given[0][0] * 2) + given[0]), "add.Tensor"),  # grows
        (lambda given: outputs((given[0].to(torch.bfloat16) * 2) + given[0]), "add.Tensor"),  # becomes another type
        (lambda given: outputs((given[0] * 2).detach().t().t().relu()), "relu_.default"),  # only seen through views
    ],
)
def test_what_somebody_still_needs_is_not(function, kept):
    given = torch.randn(4, 4)
    graph, changed = rewritten(function, given)
    assert kept in names(changed)
    for new, old in zip(changed(given.clone()), graph(given.clone()), strict=True):
        assert torch.equal(new, old)


def test_lists_are_written_over_as_a_whole_or_not_at_all():
    def update(given):
        doubled = torch._foreach_mul(given[:2], 2.0)
        torch._foreach_add_(given[:2], torch._foreach_add(doubled, given[2:], alpha=3.0))
        return {}

    def keeps_one(given):
        doubled = torch._foreach_mul(given[:2], 2.0)
        return outputs(*torch._foreach_add(doubled, given[2:]), doubled[1])

    def crossed(given):
        doubled = torch._foreach_mul(given[:2], 2.0)
        return outputs(*torch._foreach_add(doubled, [doubled[1].t(), doubled[0].t()]))

    def scaled_by_one(given):
        doubled = torch._foreach_mul([tensor.sum() for tensor in given], 2.0)
        return outputs(*torch._foreach_mul(doubled, doubled[0]))

    def clipped_and_penalised(given):
        gradients = [tensor * 1.5 for tensor in given[:2]]
        clipped = torch._foreach_mul(gradients, given[0].sum())
        return outputs(*torch._foreach_add(clipped, given[2:], alpha=0.1))

    def beside_its_transpose(given):
        (scaled,) = torch._foreach_mul([given[0] * 1.5], given[1].sum())
        return outputs(scaled.t() + scaled)

    for function, lists in (
        (update, ["_foreach_add_.List", "_foreach_add_.List"]),
        (keeps_one, ["_foreach_add.List"]),
        (crossed, ["_foreach_add.List"]),
        (scaled_by_one, ["_foreach_mul.Tensor"]),
        (clipped_and_penalised, ["_foreach_mul_.Tensor", "_foreach_add_.List"]),
        (beside_its_transpose, ["_foreach_mul_.Tensor"]),
    ):
        inputs = [torch.randn(2, 2) for _ in range(4)]
        graph, changed = rewritten(function, *inputs)
        found = [name for name in names(changed) if name.startswith("_foreach") and not name.endswith("Scalar")]
        assert found == lists
        mine, theirs = ([tensor.clone() for tensor in inputs] for _ in range(2))
        for new, old in zip(changed(*mine), graph(*theirs), strict=True):
            assert torch.equal(new, old)
        assert all(torch.equal(new, old) for new, old in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh, nn.SiLU])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_keep_their_bits(activation, layout):
    normal = nn.BatchNorm2d(8, track_running_stats=False)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), normal, activation(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3))
    network = network.to(memory_format=layout)
    state = {name: value.detach() for name, value in network.state_dict(keep_vars=True).items()}

    def gradients(given):
        images, *weights = given
        leaves = [weight.detach().requires_grad_() for weight in weights]
        made = torch.func.functional_call(network, dict(zip(trained, leaves, strict=True)), (images,))
        loss = (made + made.tanh()).square().mean()
        return outputs(loss, *torch.autograd.grad(loss, leaves))

    trained = [name for name, _ in network.named_parameters()]
    inputs = [torch.randn(2, 3, 12, 12).to(memory_format=layout), *(state[name] for name in trained)]
    graph, changed = rewritten(gradients, *inputs)
    assert sum("_." in name or "grad_input" in name for name in names(changed)) >= 2
    before = [tensor.clone() for tensor in inputs]
    with torch.no_grad():
        for new, old in zip(changed(*inputs), graph(*inputs), strict=True):
            assert torch.equal(new, old)
    assert all(torch.equal(new, old) for new, old in zip(inputs, before, strict=True))
