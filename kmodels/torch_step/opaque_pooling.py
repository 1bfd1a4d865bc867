"""Max pooling as operators that inductor calls instead of writing: on a CPU its own loops over windows are scalar."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["with_opaque_pooling"]

_POOL = torch.ops.aten.max_pool2d_with_indices
_POOL_BACKWARD = torch.ops.aten.max_pool2d_with_indices_backward

torch.library.define(  # PyTorch's own signatures, so that a node's arguments stay as they are
    "kmodels::max_pool",
    "(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False)"
    " -> (Tensor, Tensor)",
)
torch.library.define(
    "kmodels::max_pool_backward",
    "(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation,"
    " bool ceil_mode, Tensor indices) -> Tensor",
)


def _forward(*args: Any) -> Any:
    return _POOL.default(*args)


def _backward(*args: Any) -> Any:
    return _POOL_BACKWARD.default(*args)


torch.library.impl("kmodels::max_pool", "cpu", _forward)
torch.library.impl("kmodels::max_pool_backward", "cpu", _backward)
torch.library.register_fake("kmodels::max_pool", _forward)
torch.library.register_fake("kmodels::max_pool_backward", _backward)


def with_opaque_pooling(graph: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """Lets a recorded graph's poolings be these operators, in place; it computes what it computed."""
    others = {
        _POOL.default: torch.ops.kmodels.max_pool.default,
        _POOL_BACKWARD.default: torch.ops.kmodels.max_pool_backward.default,
    }
    found = [node for node in graph.graph.nodes if node.op == "call_function" and node.target in others]
    for node in found:
        node.target = others[node.target]
    if found:
        graph.recompile()
    return graph
