"""The optimizers' fused updates on a CPU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kmodels.torch_step.compiler import compiled
from kmodels.torch_step.fused_updates import lie_alike, with_foreach_updates
from kmodels.torch_step.pytorch_rules import _adam, _adam_foreach, _sgd, _sgd_foreach
from kmodels.torch_step.recorder import recorded

SHAPES = [(5,), (3, 4), (1, 1, 3, 2), (3, 3, 4, 2), ()]


def tensors(seed, lists):
    generator = torch.Generator().manual_seed(seed)
    made = [[torch.randn(shape, generator=generator) for shape in SHAPES] for _ in range(lists)]
    return [*made[:2], *([tensor.abs() for tensor in each] for each in made[2:])]


def adam(update, lists, step=3):
    update(*lists, torch.tensor(step), torch.tensor(0.01), 0.9, 0.99, 1e-8)


def sgd(update, lists, nesterov=True):
    update(*lists, torch.tensor(0.01), 0.9, nesterov)


def assert_close(mine, theirs):
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-6, atol=2e-7)


@given(st.integers(0, 1000), st.integers(0, 10_000), st.booleans())
def test_a_fused_update_is_the_foreach_update(seed, step, nesterov):
    for lists, move, pair in (
        (4, lambda update, given: adam(update, given, step), (_adam, _adam_foreach)),
        (3, lambda update, given: sgd(update, given, nesterov), (_sgd, _sgd_foreach)),
    ):
        both = [tensors(seed, lists) for _ in pair]
        for update, lists_ in zip(pair, both, strict=True):
            move(update, lists_)
        for mine, theirs in zip(*both, strict=True):
            assert_close(mine, theirs)


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_no_order_in_memory_changes_an_update(turned):
    plain, other = tensors(0, 4), tensors(0, 4)
    kernel = other[turned][3]
    other[turned][3] = kernel.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
    assert other[turned][3].stride() != kernel.stride()
    gradients = [tensor.clone() for tensor in other[1]]
    for lists in (plain, other):
        adam(_adam, lists)
    for mine, theirs in zip(other, plain, strict=True):
        assert_close(mine, theirs)
    assert all(torch.equal(one, before) for one, before in zip(other[1], gradients, strict=True))


def test_a_gradient_may_be_another_variable():
    values = [torch.ones(3), torch.full((3,), 2.0)]
    _sgd(
        values,
        [values[1].view_as(values[1]), values[0]],
        [torch.zeros(3) for _ in values],
        torch.tensor(0.1),
        0.9,
        False,
    )
    assert_close(values, [torch.full((3,), 0.8), torch.full((3,), 1.9)])


def test_what_lies_alike():
    square = torch.zeros(2, 3)
    assert lie_alike(square, torch.ones(2, 3))
    assert not lie_alike(square, torch.ones(3, 2).t())
    assert not lie_alike(square, torch.ones(2, 3, dtype=torch.float64))
    assert not lie_alike(torch.zeros(2, 6)[:, ::2], torch.zeros(2, 6)[:, ::2])  # gaps
    assert lie_alike(torch.zeros(1, 3), torch.zeros(3, 1).t())  # a side of length 1 has no order
    assert lie_alike(torch.zeros(3, 0), torch.zeros(3, 0))


def both_updates(given):
    count = len(SHAPES)
    lists = [given[place * count : (place + 1) * count] for place in range(4)]
    step, rate = given[4 * count :]
    _sgd(lists[0], lists[1], lists[2], rate * 2, 0.9, True)
    _adam(*lists, step, rate, 0.9, 0.99, 1e-8)
    return {"sum": sum(value.sum() for value in lists[0])}


def inputs():
    return [*(tensor for each in tensors(1, 4) for tensor in each), torch.tensor(3), torch.tensor(0.01)]


def test_a_recorded_update_can_be_taken_apart():
    graph, _ = recorded(both_updates, inputs())
    targets = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    assert [name for name in targets if name.startswith("kmodels")] == ["kmodels.sgd_.default", "kmodels.adam_.default"]
    fused, apart = inputs(), inputs()
    expected = graph(*fused)
    with_foreach_updates(graph)
    assert not any("kmodels" in str(node.target) for node in graph.graph.nodes)
    assert all("val" in node.meta for node in graph.graph.nodes if node.users)
    assert_close(graph(*apart), expected)
    assert_close(apart, fused)


@pytest.mark.slow
def test_a_compiled_update_is_the_recorded_one():
    graph, _ = recorded(both_updates, inputs())
    fused, mine = inputs(), inputs()
    expected = graph(*fused)
    function = compiled(graph, mine)
    assert not any("kmodels.adam" in str(node.target) for node in graph.graph.nodes)
    assert_close(function(*mine), expected)
    assert_close(mine, fused)
