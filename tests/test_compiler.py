"""Compiled steps: the same numbers, shared by all that take the same step."""

import keras
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("compiled steps are PyTorch's", allow_module_level=True)

import torch

from kmodels.torch_step import compiler
from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.compiler import can_compile, compiled
from kmodels.torch_step.opaque_pooling import with_opaque_pooling
from kmodels.torch_step.opaque_scalars import with_opaque_scalars
from kmodels.torch_step.recorder import recorded


def pooled_gradient(tensors):
    x = tensors[0].detach().requires_grad_()
    with torch.enable_grad():
        outputs = torch.nn.functional.max_pool2d(torch.tanh(x), 3, 2, padding=1)
        (gradient,) = torch.autograd.grad(outputs.square().sum(), [x])
    return {"outputs": outputs.detach(), "gradient": gradient}


def test_opaque_pooling_is_the_same_pooling():
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    graph, _ = recorded(pooled_gradient, [x])
    before = graph(x)
    changed = with_opaque_pooling(graph)
    assert "kmodels" in changed.code
    assert "aten.max_pool" not in changed.code
    for a, b in zip(before, changed(x), strict=True):
        assert torch.equal(a, b)


def corrected(tensors):
    long, short, step = tensors
    correction = -torch.expm1(-0.1 * (step + 1.0))
    scaled = torch._foreach_mul([long, long + 1.0], torch.sqrt(correction))
    return {"long": long / correction, "first": scaled[0], "second": scaled[1], "short": short * correction}


def test_numbers_that_long_loops_use_are_computed_before_them():
    given = [torch.linspace(0.1, 1.0, 2048), torch.ones(3), torch.tensor(4.0)]
    graph, _ = recorded(corrected, given)
    before = graph(*given)
    assert with_opaque_scalars(graph).code.count("kmodels.computed") == 2  # the correction and its root
    for a, b in zip(before, graph(*given), strict=True):
        assert torch.equal(a, b)
    short, _ = recorded(corrected, [given[1], *given[1:]])
    assert "kmodels" not in with_opaque_scalars(short).code


@pytest.mark.slow
def test_a_compiled_graph_computes_the_same_and_serves_its_equals(monkeypatch):
    monkeypatch.setattr(compiler, "_compiled", {})
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    graph, _ = recorded(pooled_gradient, [x])
    step = compiled(graph, [x])
    for a, b in zip(graph(x), step(x), strict=True):
        torch.testing.assert_close(a, b)
    assert compiled(recorded(pooled_gradient, [x])[0], [x + 1]) is step
    assert compiled(recorded(pooled_gradient, [x[:1]])[0], [x[:1]]) is not step


def test_graphs_that_hold_different_constants_are_different():
    x = torch.zeros(2)

    def adds(constant):
        return recorded(lambda tensors: {"y": tensors[0] + torch.tensor([constant, 0.0])}, [x])[0]

    keys = [compiler._key(adds(constant), [x]) for constant in (1.0, 1.0, 2.0)]
    assert None not in keys
    assert keys[0] == keys[1] != keys[2]


def test_why_nothing_can_be_compiled_is_said(monkeypatch):
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert can_compile(torch.device("cpu")) == "no C++ compiler (no-such-compiler) was found"
    assert "mps" in can_compile(torch.device("mps"))


def test_a_compiler_that_fails_is_an_error_of_its_own_kind(monkeypatch):
    import torch._inductor

    def fail(*_):
        raise RuntimeError("CppCompileError: C++ compile error\nand many lines")

    monkeypatch.setattr(torch._inductor, "compile", fail)
    monkeypatch.setattr(compiler, "_compiled", {})
    x = torch.zeros(2, 3, 8, 8)
    with pytest.raises(CannotRecord, match=r"^compiling failed: RuntimeError: CppCompileError: C.. compile error$"):
        compiled(recorded(pooled_gradient, [x])[0], [x])
