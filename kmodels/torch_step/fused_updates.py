"""Updates of all variables by one kernel on a CPU: PyTorch's, which reads and writes each number once.

The same update as a row of operations on lists goes over the memory of all variables again and again, and holds a copy
of it in between. A compiler merges such a row by itself, and the gradients with it, so for it the kernel is taken apart
again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from kmodels.torch_step.updates import Tensors

__all__ = ["define_fused", "is_fused", "lie_alike", "with_foreach_updates"]

_foreach: dict[Any, Callable[..., None]] = {}


def define_fused(name: str, signature: str, fused: Callable[..., None], foreach: Callable[..., None]) -> Any:
    """Makes an operator of an update and returns it.

    Args:
        name: of the operator, new and with `kmodels::` before it.
        signature: of its arguments, in PyTorch's notation: lists of values, gradients and slots, then all else.
        fused: computes it where values, slots and gradients lie alike in memory.
        foreach: computes it as operations on lists of tensors, wherever they lie.

    Returns:
        The operator, called as `fused` is; it exists for the CPU alone.
    """

    def update(values: Tensors, gradients: Tensors, *others: Any) -> None:
        lists = [values, gradients, *(other for other in others if isinstance(other, list))]
        shared = [other for other in others if not isinstance(other, list)]
        gradients = lists[1] = _separate(values, gradients)
        alike = [lie_alike(value, *slots) for value, _, *slots in zip(*lists, strict=True)]
        for one, chosen in ((fused, True), (foreach, False)):
            part = [[each for each, like in zip(every, alike, strict=True) if like == chosen] for every in lists]
            if part[0]:
                one(*part, *shared)

    torch.library.define(name, f"({signature}) -> ()")
    torch.library.impl(name, "cpu", update)
    torch.library.register_fake(name, lambda *args: None)
    made = getattr(torch.ops.kmodels, name.removeprefix("kmodels::")).default
    _foreach[made] = foreach
    return made


def is_fused(target: Any) -> bool:
    """Whether an operator is one of `define_fused`."""
    return target in _foreach


def lie_alike(value: Tensor, *slots: Tensor) -> bool:
    """Whether a value and its slots have one order in memory and no gaps, which a fused kernel takes as given."""
    return _is_dense(value) and all(_is_laid_as(value, slot) for slot in slots)


def _is_dense(tensor: Tensor) -> bool:
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride != expected and tensor.numel() > 0:
            return False
        expected *= size
    return True


def _is_laid_as(value: Tensor, other: Tensor) -> bool:
    sides = zip(value.stride(), other.stride(), value.shape, strict=True)
    return value.dtype == other.dtype and all(mine == its for mine, its, size in sides if size > 1)


def _separate(values: Tensors, gradients: Tensors) -> Tensors:
    """Returns the gradients, each in the order in memory of its value, none in the memory of a value."""
    taken = {value.untyped_storage().data_ptr() for value in values}
    found = []
    for value, gradient in zip(values, gradients, strict=True):
        if not _is_laid_as(value, gradient) or gradient.untyped_storage().data_ptr() in taken:
            gradient = torch.empty_like(value).copy_(gradient)
        found.append(gradient)
    return found


def with_foreach_updates(graph: GraphModule) -> GraphModule:
    """Takes the fused updates of a recorded graph apart into operations on lists, in place."""
    found = [node for node in graph.graph.nodes if node.op == "call_function" and node.target in _foreach]
    for node in found:
        _take_apart(graph, node)
    if found:
        graph.recompile()
    return graph


def _take_apart(graph: GraphModule, node: Node) -> None:
    used = node.all_input_nodes

    def update(*tensors: Tensor) -> None:
        held = dict(zip(used, tensors, strict=True))
        _foreach[node.target](*torch.fx.map_arg(node.args, held.__getitem__))

    with torch.no_grad():
        part = make_fx(update)(*(one.meta["val"] for one in used))
    known: dict[Node, Node] = dict(zip((n for n in part.graph.nodes if n.op == "placeholder"), used, strict=True))
    with graph.graph.inserting_before(node):
        for inner in part.graph.nodes:
            if inner.op == "call_function":
                known[inner] = graph.graph.node_copy(inner, lambda one: known[one])
    graph.graph.erase_node(node)
