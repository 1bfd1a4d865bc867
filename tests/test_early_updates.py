"""Updates of large variables in the middle of the backward pass."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

import kmodels
from kmodels import optimizers
from kmodels.torch_step import early_updates, recording
from kmodels.torch_step.memory_plan import with_memory_plan
from kmodels.torch_step.pytorch_rules import _adam
from kmodels.torch_step.recorder import recorded


@pytest.fixture
def two_threads():
    """With which the sum over a gradient, to clip it, depends on how the gradient lies in memory."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def step(given, *, between=lambda values, gradients: gradients, again=False):
    """One step of a chain of two dense layers and a bias, as a step is recorded."""
    values, means, squares = given[:3], given[3:6], given[6:9]
    x, count, rate = given[9:]
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in values]
        loss = (((x @ leaves[0]).tanh() @ leaves[1]) + leaves[2]).square().mean()
        gradients = list(torch.autograd.grad(loss, leaves))
    with torch.no_grad():
        _adam(values, between(values, gradients), means, squares, count, rate, 0.9, 0.99, 1e-8)
        count.add_(1)
        return {"loss": loss.detach(), **({"first": values[0].sum()} if again else {})}


def inputs():
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(shape, generator=generator) for shape in ((300, 300), (300, 300), (300,))]
    slots = [torch.rand(value.shape, generator=generator) for _ in range(2) for value in values]
    return [*values, *slots, torch.randn(4, 300, generator=generator), torch.tensor(2), torch.tensor(0.1)]


def order(graph):
    return [node for node in graph.graph.nodes if node.op == "call_function"]


def updates(graph):
    return [len(node.args[0]) for node in order(graph) if "kmodels.adam_" in str(node.target)]


def before_the_last_gradient(graph):
    """How many updates stand before the last product of matrices, which is that of the first layer's gradient."""
    names = [str(node.target) for node in order(graph)]
    last = max(place for place, name in enumerate(names) if "aten.mm" in name)
    return sum("kmodels.adam_" in name for name in names[:last])


def clipped(values, gradients):
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return list(torch._foreach_mul(gradients, torch.clamp(1.0 / norm, max=1.0)))


def shrunk(values, gradients):
    torch._foreach_mul_(values, 0.9)
    return gradients


@pytest.mark.parametrize(
    ("options", "sizes", "early"),
    [
        ({}, [1, 1, 1], 1),
        ({"again": True}, [1, 2], 1),
        ({"between": clipped}, [1, 1, 1], 0),
        ({"between": shrunk}, [1, 1, 1], 0),
    ],
)
def test_updates_come_early_where_they_can_and_compute_the_same(options, sizes, early):
    graph, _ = recorded(lambda given: step(given, **options), inputs())
    planned = with_memory_plan(graph)
    assert updates(graph) == [3] and sorted(updates(planned)) == sizes
    assert before_the_last_gradient(planned) == early
    mine, theirs = inputs(), inputs()
    for _ in range(3):
        for new, old in zip(planned(*mine), graph(*theirs), strict=True):
            assert torch.equal(new, old)
        assert all(torch.equal(new, old) for new, old in zip(mine, theirs, strict=True))


def test_a_variable_is_updated_after_its_last_use_and_before_the_next_gradient():
    graph, _ = recorded(step, inputs())
    names = [str(node.target) for node in order(with_memory_plan(graph))]
    first, last = names.index("kmodels.adam_.default"), max(i for i, name in enumerate(names) if "aten.mm" in name)
    assert first < last  # the second layer's, before the first one's gradient is computed
    assert sum("aten.mm" in name for name in names[:first]) == 4  # both products forward, two backward


def swapped(given):
    values, means, squares, count, rate = given[:2], given[2:4], given[4:6], given[6], given[7]
    _adam(values, [values[1].view_as(values[1]), values[0] * 2], means, squares, count, rate, 0.9, 0.99, 1e-8)
    return {}


def test_a_gradient_in_the_memory_of_a_variable_keeps_all_updates_together():
    given = [torch.full((70_000,), float(number)) for number in (1, 2, 1, 1, 1, 1)]
    given += [torch.tensor(2), torch.tensor(0.1)]
    graph, _ = recorded(swapped, given)
    planned = with_memory_plan(graph)
    assert updates(planned) == [2]
    mine, theirs = ([tensor.clone() for tensor in given] for _ in range(2))
    planned(*mine), graph(*theirs)
    assert all(torch.equal(new, old) for new, old in zip(mine, theirs, strict=True))


def test_a_variable_that_lies_unlike_its_slots_does_not_decide_for_the_others():
    given = inputs()
    given[0] = given[0].t().contiguous().t()
    graph, _ = recorded(step, given)
    planned = with_memory_plan(graph)
    mine, theirs = ([tensor.clone() for tensor in given] for _ in range(2))
    assert mine[0].stride() != mine[3].stride()
    planned(*mine), graph(*theirs)
    assert all(torch.equal(new, old) for new, old in zip(mine, theirs, strict=True))


def test_small_variables_are_updated_together_at_the_end(monkeypatch):
    monkeypatch.setattr(early_updates, "_LARGE", 100_000)
    graph, _ = recorded(step, inputs())
    assert updates(with_memory_plan(graph)) == [3]


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Adam(1e-2, global_clipnorm=0.5),
        lambda: optimizers.AdamW(1e-2, weight_decay=0.1),
        lambda: optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-2, 3, 0.5), l2=0.1),
        lambda: optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    ],
)
def test_training_keeps_its_bits(make, two_threads, monkeypatch):
    monkeypatch.setattr(early_updates, "_LARGE", 1)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(64, 8, 8, 3)).astype("float32"), generator.integers(0, 4, 64)

    def trained(fast):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8, 8, 3))
        hidden = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
        hidden = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(hidden))
        model = keras.Model(inputs, keras.layers.Dense(4)(hidden))
        model.compile(make(), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        if fast:
            kmodels.accelerate(model, mode="record", exact=True)
        history = model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history
        return model, history

    (stock, expected), (fast, found) = trained(False), trained(True)
    assert found == expected
    for mine, theirs in zip(fast.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("rate", [1e-2, keras.optimizers.schedules.ExponentialDecay(1e-2, 3, 0.5)])
def test_a_rate_that_changes_keeps_no_update_at_the_end(rate, monkeypatch):
    monkeypatch.setattr(early_updates, "_LARGE", 1)
    planned = []

    def spy(graph):
        planned.append(with_memory_plan(graph))
        return planned[-1]

    monkeypatch.setattr(recording, "with_memory_plan", spy)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Dense(5, activation="tanh")(inputs)))
    model.compile(optimizers.Adam(rate), "mse")
    kmodels.accelerate(model, mode="record")
    model.fit(np.ones((8, 6), "float32"), np.ones((8, 4), "float32"), batch_size=4, verbose=0)
    assert before_the_last_gradient(planned[0]) >= 1


class Swapped(torch.autograd.Function):
    """A product whose gradients are the factors themselves, where they lie."""

    @staticmethod
    def forward(ctx, one, other):
        ctx.save_for_backward(one, other)
        return (one * other).sum()

    @staticmethod
    def backward(ctx, gradient):
        one, other = ctx.saved_tensors
        return other.view_as(other), one.view_as(one)


class Product(keras.layers.Layer):
    def build(self, shape):
        self.one, self.other = (self.add_weight(shape=(6,), initializer="ones", name=name) for name in ("one", "other"))
        self.other.assign([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])

    def call(self, inputs):
        return inputs + Swapped.apply(self.one.value, self.other.value)


def chained(inputs):
    return keras.layers.Dense(4)(Product()(inputs))


def tied(inputs):
    layer = keras.layers.Dense(6, activation="tanh")
    return keras.layers.Dense(4)(layer(layer(inputs)))


@pytest.mark.parametrize("network", [chained, tied])
@pytest.mark.parametrize("make", [lambda: optimizers.Adam(1e-2), lambda: optimizers.SGD(1e-2, momentum=0.9)])
def test_a_gradient_that_is_a_variable_or_is_added_up_is_not_mixed_up(network, make, monkeypatch):
    monkeypatch.setattr(early_updates, "_LARGE", 1)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(32, 6)).astype("float32"), generator.integers(0, 4, 32)
    found = []
    for fast in (False, True):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        model = keras.Model(inputs, network(inputs))
        model.compile(make(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        if fast:
            kmodels.accelerate(model, mode="record")
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        assert not fast or "recorded" in kmodels.explain(model)
        found.append(model.get_weights())
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-6, atol=1e-7)
