"""Operations of a recorded step that write over what nothing reads afterwards.

Where a hand-written step would say `relu_`, a recorded one can, and in more places: everything that is computed, and
when it is read for the last time, is known. The bits stay the same; a step touches less memory, and holds less of it.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.fx import Graph, Node

from kmodels.torch_step.storages import last_reads, storages_of

__all__ = ["update_in_place"]

_aten = torch.ops.aten

_IN_PLACE: dict[Any, Any] = {
    _aten.relu.default: _aten.relu_.default,
    _aten.sigmoid.default: _aten.sigmoid_.default,
    _aten.tanh.default: _aten.tanh_.default,
    _aten.silu.default: _aten.silu_.default,
    _aten.add.Tensor: _aten.add_.Tensor,
    _aten.sub.Tensor: _aten.sub_.Tensor,
    _aten.mul.Tensor: _aten.mul_.Tensor,
    _aten.div.Tensor: _aten.div_.Tensor,
    _aten._foreach_add.List: _aten._foreach_add_.List,
    _aten._foreach_mul.Tensor: _aten._foreach_mul_.Tensor,
}
"""Operation -> the one that writes its result over its first argument."""

_INTO: dict[Any, Any] = {
    _aten.threshold_backward.default: (_aten.threshold_backward.grad_input, "grad_input"),
    _aten.sigmoid_backward.default: (_aten.sigmoid_backward.grad_input, "grad_input"),
    _aten.tanh_backward.default: (_aten.tanh_backward.grad_input, "grad_input"),
}
"""Operation -> the one that writes its result where it is told, and the name of that argument."""


def update_in_place(graph: Graph) -> None:
    """Lets operations of a graph write over tensors that are read for the last time.

    A tensor is written over only where the graph made it, the whole of its memory belongs to it, and neither it nor a
    view of it is read or returned later.

    Args:
        graph: recorded; its nodes hold example values.
    """
    uses = _Uses(graph)
    for node in list(graph.nodes):
        known = node.op == "call_function" and (node.target in _IN_PLACE or node.target in _INTO)
        if known and uses.may_overwrite(node):
            _overwrite(graph, node)


def _overwrite(graph: Graph, node: Node) -> None:
    target, first = node.target, node.args[0]
    if target in _INTO:
        other, name = _INTO[target]
        node.target, node.kwargs = other, {**node.kwargs, name: first}
        return
    node.target = _IN_PLACE[target]
    if not isinstance(first, list | tuple):
        return
    for one, made in zip(first, node.meta["val"], strict=True):
        one.meta["val"] = made  # from here on it stands for what was written over it
    # an operation on a list returns nothing: what took its results takes the tensors that hold them
    for user in list(node.users):
        user.replace_all_uses_with(first[user.args[1]])
        graph.erase_node(user)


class _Uses:
    """When each piece of memory is read for the last time, and whose it is."""

    def __init__(self, graph: Graph) -> None:
        self._at = {node: place for place, node in enumerate(graph.nodes)}
        self._last = last_reads(graph)
        given = [node for node in graph.nodes if node.op in ("placeholder", "get_attr")]
        self._given = {storage for node in given for storage in storages_of(node)}

    def may_overwrite(self, node: Node) -> bool:
        """Whether an operation may write its result over its first argument."""
        first, result = node.args[0], node.meta.get("val")
        firsts = list(first) if isinstance(first, list | tuple) else [first]
        results = list(result) if isinstance(result, list | tuple) else [result]
        if len(firsts) != len(results) or not all(isinstance(one, Node) for one in firsts):
            return False
        takes_one = all(user.target is operator.getitem for user in node.users)
        if isinstance(first, list | tuple) and not takes_one:
            return False
        pieces = [piece for one in firsts for piece in storages_of(one)]
        alone = isinstance(first, Node)  # with itself it may be combined; with the others of a list, in another order
        others = [piece for used in _others(node) if not (alone and used is first) for piece in storages_of(used)]
        return (
            len(set(pieces)) == len(pieces) == len(firsts)
            and not set(pieces) & {*others, *self._given}
            and all(self._last[piece] == self._at[node] for piece in pieces)
            and all(_fits(one.meta.get("val"), other) for one, other in zip(firsts, results, strict=True))
        )


def _others(node: Node) -> list[Node]:
    found: list[Node] = []
    torch.fx.map_arg((node.args[1:], node.kwargs), found.append)
    return found


def _fits(old: Any, new: Any) -> bool:
    """Whether a result lies just as the tensor it is written over, which has all of its memory for itself."""
    if not isinstance(old, torch.Tensor) or not isinstance(new, torch.Tensor):
        return False
    same = (old.shape, old.stride(), old.dtype, old.device) == (new.shape, new.stride(), new.dtype, new.device)
    return same and old.numel() * old.element_size() == old.untyped_storage().nbytes()
