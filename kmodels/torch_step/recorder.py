"""Recording a step as one graph of PyTorch operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from kmodels.torch_step.causes import GENERATOR, CannotRecord, cause_of, place_of, whole_tracebacks
from kmodels.torch_step.compiled_files import choose_folder
from kmodels.torch_step.garbage import collection_paused

__all__ = ["recorded"]


def recorded(
    step: Callable[[list[torch.Tensor]], dict[str, torch.Tensor]], inputs: Sequence[torch.Tensor]
) -> tuple[torch.fx.GraphModule, list[str]]:
    """Records what a function of tensors does, without computing anything and without changing any tensor.

    Args:
        step: function of a list of tensors to named tensors; it may change the former in place, and so will the graph.
        inputs: tensors of the shapes, types and devices that the graph is for.

    Returns:
        The graph, a function of the single tensors to a tuple of tensors, and the names of those.

    Raises:
        CannotRecord: the function reads a tensor's value on the host, or does something else no graph can hold.
    """
    choose_folder()
    names: list[str] = []

    def flat(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = step(list(tensors))
        names[:] = outputs
        return tuple(outputs.values())

    with whole_tracebacks(), collection_paused():
        try:
            graph = make_fx(flat, tracing_mode="fake", _error_on_data_dependent_ops=True)(*inputs)
        except CannotRecord:
            raise
        except Exception as error:  # whatever the user's layers, losses and metrics raise when they see no values
            raise CannotRecord(cause_of(error, place_of(error))) from error
    for node in graph.graph.nodes:
        held = [getattr(graph, node.target, None)] if node.op == "get_attr" else [*node.args, *node.kwargs.values()]
        if any(isinstance(argument, torch.Generator) for argument in held):
            raise CannotRecord(GENERATOR)
    return graph, names
