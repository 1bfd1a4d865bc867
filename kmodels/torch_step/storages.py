"""Which piece of memory the tensors of a recorded graph lie in, and when each is read for the last time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch.fx import Graph, Node
from torch.utils._pytree import tree_leaves

__all__ = ["has_storages", "last_reads", "storages_of"]


def storages_of(node: Node) -> Iterator[int]:
    """Yields what tells one piece of memory from another, for each tensor that a node stands for; views share one."""
    for tensor in tree_leaves(node.meta.get("val")):
        if isinstance(tensor, torch.Tensor):
            yield tensor.untyped_storage()._cdata


def has_storages(graph: Graph) -> bool:
    """Whether all tensors of a graph have one piece of memory each, as sparse ones have not."""
    values = [value for node in graph.nodes for value in tree_leaves(node.meta.get("val"))]
    return all(value.layout == torch.strided for value in values if isinstance(value, torch.Tensor))


def last_reads(graph: Graph, but: Collection[Node] = ()) -> dict[int, int]:
    """Returns for each piece of memory the place of the last node that takes a tensor in it, to read or to write.

    Args:
        graph: recorded; places are counted from 0.
        but: nodes that do not count.
    """
    last: dict[int, int] = {}
    for place, node in enumerate(graph.nodes):
        if node not in but:
            last.update((storage, place) for used in node.all_input_nodes for storage in storages_of(used))
    return last
