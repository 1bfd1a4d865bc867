"""A recorded graph as it is run without a compiler: the same numbers, with less memory and fewer passes over it."""

from __future__ import annotations

from torch.fx import Graph, GraphModule

from kmodels.torch_step.early_updates import update_early
from kmodels.torch_step.in_place import update_in_place
from kmodels.torch_step.storages import has_storages

__all__ = ["with_memory_plan"]


def with_memory_plan(graph: GraphModule) -> GraphModule:
    """Returns a graph that computes the same bits and holds less: see `update_early` and `update_in_place`.

    Args:
        graph: of `recorded`, whose nodes hold example values; it stays as it is, for a compiler that plans by itself.
    """
    if not has_storages(graph.graph):
        return graph
    nodes = Graph()
    nodes.output(nodes.graph_copy(graph.graph, {}))
    update_early(nodes)
    update_in_place(nodes)
    return GraphModule(graph, nodes)
