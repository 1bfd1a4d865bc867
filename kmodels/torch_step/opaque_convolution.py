"""Convolutions that lie channels first, as operators that inductor calls: on a CPU it would turn them channels last."""

from __future__ import annotations

from typing import Any

import torch

from kmodels.torch_step.memory_format import lies_channels_first

__all__ = ["with_opaque_convolutions"]

_CONVOLUTION = torch.ops.aten.convolution
_CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward

_SETTINGS = "int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups"
torch.library.define("kmodels::convolution", f"(Tensor input, Tensor weight, Tensor? bias, {_SETTINGS}) -> Tensor")
torch.library.define(
    "kmodels::convolution_backward",
    f"(Tensor grad_output, Tensor input, Tensor weight, int[]? bias_sizes, {_SETTINGS}, bool[3] output_mask)"
    " -> (Tensor, Tensor, Tensor)",
)


def _forward(*args: Any) -> torch.Tensor:
    return _CONVOLUTION.default(*args)


def _backward(*args: Any) -> tuple[torch.Tensor, ...]:
    gradients = _CONVOLUTION_BACKWARD.default(*args)  # None where none is asked for, which an operator cannot return
    return tuple(args[0].new_empty(0) if gradient is None else gradient for gradient in gradients)


torch.library.impl("kmodels::convolution", "cpu", _forward)
torch.library.impl("kmodels::convolution_backward", "cpu", _backward)
torch.library.register_fake("kmodels::convolution", _forward)
torch.library.register_fake("kmodels::convolution_backward", _backward)


def with_opaque_convolutions(graph: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """Lets those convolutions of a recorded graph be these operators whose kernels lie channels first, in place."""
    others = {  # and which argument is the kernel
        _CONVOLUTION.default: (torch.ops.kmodels.convolution.default, 1),
        _CONVOLUTION_BACKWARD.default: (torch.ops.kmodels.convolution_backward.default, 2),
    }
    changed = False
    for node in graph.graph.nodes:
        if node.op == "call_function" and node.target in others:
            other, kernel = others[node.target]
            if lies_channels_first(node.args[kernel].meta["val"]):
                node.target, changed = other, True
    if changed:
        graph.recompile()
    return graph
