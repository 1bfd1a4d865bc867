"""Large variables updated as soon as their gradient is known, in the middle of the backward pass.

A step written by hand holds all gradients until it updates, unless hooks on the parameters put the optimizer's step
into the backward pass. In a recorded step it is known when a variable and its gradient are read for the last time:
there it is updated, and the memory of the gradient is free for the next one.
"""

from __future__ import annotations

from typing import Any

from torch.fx import Graph, Node

from kmodels.torch_step.fused_updates import is_fused
from kmodels.torch_step.storages import last_reads, storages_of

__all__ = ["update_early"]

_LARGE = 65_536  # elements; below, one call more costs what the memory is worth


def update_early(graph: Graph) -> None:
    """Moves the fused updates of large variables in a graph to where they first can be.

    What stands between gradients and the update keeps it at the end: clipping by the norm of all gradients, L2 and a
    decay of the variables, which take all of them at once.

    Args:
        graph: recorded; its nodes hold example values.
    """
    for node in [node for node in graph.nodes if node.op == "call_function" and is_fused(node.target)]:
        _spread(graph, node)


def _spread(graph: Graph, update: Node) -> None:
    order = list(graph.nodes)
    places = {node: place for place, node in enumerate(order)}
    reads = last_reads(graph, but={update})
    lists: list[Any] = [list(argument) for argument in update.args if isinstance(argument, list | tuple)]
    others = [argument for argument in update.args if not isinstance(argument, list | tuple)]
    known = max((places[one] for one in others if isinstance(one, Node)), default=0)
    variables = {storage for each in (lists[0], *lists[2:]) for one in each for storage in storages_of(one)}
    if any(storage in variables for gradient in lists[1] for storage in storages_of(gradient)):
        return  # it would be read after its update
    stay = []
    for index, (value, gradient, *slots) in enumerate(zip(*lists, strict=True)):
        held = [storage for one in (value, gradient, *slots) for storage in storages_of(one)]
        first = max(known, places[gradient], *(reads.get(storage, 0) for storage in held))
        if first < places[update] and value.meta["val"].numel() >= _LARGE:
            with graph.inserting_after(order[first]):
                graph.call_function(update.target, (*([each[index]] for each in lists), *others), update.kwargs)
        else:
            stay.append(index)
    if stay:
        update.args = (*([each[index] for index in stay] for each in lists), *others)
    else:
        graph.erase_node(update)
