"""Single numbers, such as a bias correction, that inductor computes once a step instead of once a vector.

On a CPU inductor writes the computation of a number into every loop that uses it, where it is done again for each
vector of elements: with Adam two `expm1`, a square root and two divisions for every 16 weights. What an operator
returns that inductor cannot see into is computed before the loop.
"""

from __future__ import annotations

import torch

__all__ = ["with_opaque_scalars"]

torch.library.define("kmodels::computed", "(Tensor self) -> Tensor")
torch.library.impl("kmodels::computed", "cpu", torch.clone)
torch.library.register_fake("kmodels::computed", torch.empty_like)

_LARGE = 1024  # elements; a shorter loop costs less than a call


def with_opaque_scalars(graph: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """Lets a recorded graph's computed numbers that long loops use come from an operator, in place.

    Args:
        graph: whose nodes hold example values, as `recorded` leaves them.
    """
    changed = False
    for node in list(graph.graph.nodes):
        value = node.meta.get("val")
        if node.op != "call_function" or not isinstance(value, torch.Tensor) or value.numel() != 1:
            continue
        users = [user for user in node.users if _elements(user) >= _LARGE]
        if not users:
            continue
        with graph.graph.inserting_after(node):
            computed = graph.graph.call_function(torch.ops.kmodels.computed.default, (node,))
        computed.meta["val"] = value
        for user in users:
            user.replace_input_with(node, computed)
        changed = True
    if changed:
        graph.recompile()
    return graph


def _elements(node: torch.fx.Node) -> int:
    """Elements of the largest tensor that a node takes or returns: operations on lists return none."""
    given = [used.meta.get("val") for used in node.all_input_nodes] + [node.meta.get("val")]
    return max((value.numel() for value in given if isinstance(value, torch.Tensor)), default=0)
