"""Recording a step as one graph of PyTorch operations, and running or compiling that graph."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch.fx.experimental.proxy_tensor import make_fx

__all__ = ["CannotRecord", "Mode", "can_compile", "compiled", "recorded"]

Mode = Literal["record", "compile"]
Step = Callable[..., Any]


class CannotRecord(RuntimeError):
    """A step that cannot be one graph; the message says why in words for the user."""


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
    names: list[str] = []

    def flat(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = step(list(tensors))
        names[:] = outputs
        return tuple(outputs.values())

    try:
        return make_fx(flat, tracing_mode="fake", _error_on_data_dependent_ops=True)(*inputs), names
    except CannotRecord:
        raise
    except Exception as error:  # whatever the user's layers, losses and metrics raise when they see no values
        raise CannotRecord(_cause(error)) from error


def _cause(error: BaseException) -> str:
    kind = type(error).__name__
    if kind in ("DataDependentOutputException", "GuardOnDataDependentSymNode", "UnsupportedOperatorException"):
        return f"it reads a tensor's value on the host ({kind}: {_first_line(error)})"
    return f"{kind}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:160] if lines else "no message"


def can_compile(device: torch.device) -> str | None:
    """Returns why nothing can be compiled for a device, or None where it can."""
    if device.type == "cpu":
        compiler = os.environ.get("CXX", "g++")
        return None if shutil.which(compiler) or shutil.which("clang++") else f"no C++ compiler ({compiler}) was found"
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return None if has_triton() else "Triton is not installed or does not know this GPU"
    return f"nothing is compiled for {device.type}"


def compiled(graph: torch.fx.GraphModule, inputs: Sequence[torch.Tensor]) -> Step:
    """Compiles a recorded graph with inductor.

    Args:
        graph: of `recorded`.
        inputs: tensors like those it will be called with.

    Returns:
        A function like the graph.

    Raises:
        CannotRecord: the compiler failed; the message says how.
    """
    try:
        with torch.no_grad():
            return torch._inductor.compile(graph, list(inputs))  # type: ignore[no-any-return]
    except Exception as error:
        raise CannotRecord(f"compiling failed: {_cause(error)}") from error
