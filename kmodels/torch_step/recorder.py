"""Recording a step as one graph of PyTorch operations."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from kmodels.torch_step.compiled_files import choose_folder

__all__ = ["CannotRecord", "cause_of", "recorded"]


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
    choose_folder()
    names: list[str] = []

    def flat(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = step(list(tensors))
        names[:] = outputs
        return tuple(outputs.values())

    shortened = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()  # which leaves out the layer that a cause is about
    try:
        graph = make_fx(flat, tracing_mode="fake", _error_on_data_dependent_ops=True)(*inputs)
    except CannotRecord:
        raise
    except Exception as error:  # whatever the user's layers, losses and metrics raise when they see no values
        raise CannotRecord(cause_of(error, _place(error))) from error
    finally:
        if shortened:
            keras.config.enable_traceback_filtering()
    for node in graph.graph.nodes:
        if any(isinstance(argument, torch.Generator) for argument in (*node.args, *node.kwargs.values())):
            # Keras makes such a generator anew in every step, from a seed that is a plain number
            raise CannotRecord(f"{node.target} draws from a generator of its own")
    return graph, names


def cause_of(error: BaseException, place: str = "") -> str:
    """Returns in one line what kept a step from being recorded or compiled, and where where that is known."""
    kind = type(error).__name__
    if kind in ("DataDependentOutputException", "GuardOnDataDependentSymNode", "UnsupportedOperatorException"):
        return f"it reads a tensor's value on the host{place or f' ({kind}: {_first_line(error)})'}"
    if "convert all Tensors to FakeTensors" in str(error):
        return f"it computes with a PyTorch tensor that is no variable of the model{place}"
    return f"{kind}: {_first_line(error) or 'no message'}{place}"


def _place(error: BaseException) -> str:
    """Where what failed was done: the innermost code that is not PyTorch's, Python's, ours nor Keras' backend."""
    inside = (Path(keras.__file__).parent / "src" / name for name in ("backend", "ops", "utils", "random"))
    below = (Path(torch.__file__).parent, Path(__file__).parent, *inside)
    library = Path(traceback.__file__).parent  # Python's own; packages may lie in folders of it
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        path = Path(code.co_filename)
        beneath = path.parent == library or any(path.is_relative_to(folder) for folder in below)
        if not beneath and path.is_file():  # else it was made from text
            found = f", in {code.co_qualname} ({path.name}:{line})"
    return found


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    return lines[0][:200] if lines else ""
