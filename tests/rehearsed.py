"""A function of a vector, rehearsed and recorded."""

from collections.abc import Callable
from typing import Any

import torch

from kmodels.torch_step.causes import CannotRecord
from kmodels.torch_step.listing import Calls, Operations, difference
from kmodels.torch_step.recorder import recorded
from kmodels.torch_step.rehearsal import rehearse


def values() -> torch.Tensor:
    """Returns three numbers that are not the whole of their memory."""
    return torch.tensor([1.0, 2.0, 0.0, 3.0])[:3]


def rehearsed(function: Callable[[torch.Tensor], Any]) -> tuple[bool, bool]:
    """Whether a function of a vector goes through; and whether it can be recorded, with the same calls."""
    step = lambda tensors: {"result": torch.as_tensor(function(tensors[0]))}  # noqa: E731
    given = values()
    try:
        taken = rehearse(step, [], [given], shared=0).calls
    except CannotRecord:
        taken = None
    operations = Operations()
    calls = Calls(operations)

    def listed(tensors):
        with calls, operations:
            return step(tensors)

    try:
        recorded(listed, [given])
    except CannotRecord:
        return taken is not None, False
    return taken is not None, taken is None or difference(taken, calls.made) is None
